"""Groups: look-ups and changes. Calls of `engine.methods`; JIDs are texts, times are Unix seconds."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neonize.exc import GetGroupInfoError
from neonize.proto.Neonize_pb2 import GroupInfo, GroupParticipant
from neonize.utils.enum import ParticipantChange

from whatsam_connector.engine.neonize_adapter.calls.errors import CallRefused
from whatsam_connector.engine.neonize_adapter.calls.people import group, learn, lid_of, persons, phone_of
from whatsam_connector.engine.neonize_adapter.jids import jid_text, person_text

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

LINK_PREFIX = "https://chat.whatsapp.com/"
_INVITE_CODE = re.compile(r"[A-Za-z0-9_-]{6,64}")
_JPEG = b"\xff\xd8\xff"

_NOT_ADDED = {
    401: "blocked",
    403: "invite_needed",
    404: "not_on_whatsapp",
    408: "left_recently",
    409: "member_already",
    419: "group_full",
    500: "group_full",
}
_NOT_CHANGED = {403: "forbidden", 404: "no_member", 406: "not_possible", 409: "so_already"}
"""What WhatsApp's error at a participant means; any other is `refused`."""


def groups(session: "NeonizeSession", arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The groups of this account; their members only with `participants`."""
    whole = bool(arguments.get("participants"))
    return [_group(session, one, whole=whole) for one in session.client.get_joined_groups()]


def one_group(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """A group with its members."""
    return _group(session, session.client.get_group_info(group(arguments["jid"])))


def create_group(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """A new group. `participants` of the answer who carry an `error` are not in it."""
    subject, members = _subject(arguments), persons(arguments["participants"])
    learn(session, members)
    return _group(session, session.client.create_group(subject, members))


def change_participants(session: "NeonizeSession", arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Add, remove, promote or demote; what became of each."""
    action = ParticipantChange(arguments["action"])
    members = persons(arguments["participants"])
    if not members:
        raise CallRefused("Invalid", "nobody is named")
    jid = group(arguments["jid"])
    learn(session, members)
    changed = session.client.update_group_participants(jid, members, action)
    return [_outcome(session, one, adding=action is ParticipantChange.ADD) for one in changed]


def set_subject(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Rename a group."""
    session.client.set_group_name(group(arguments["jid"]), _subject(arguments))


def set_description(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Change the description; an empty one removes it. whatsmeow looks the previous one up and makes the new id."""
    session.client.set_group_topic(group(arguments["jid"]), "", "", str(arguments["description"]))


def set_picture(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """Change the picture to the JPEG at `path`."""
    return {"picture_id": session.client.set_group_photo(group(arguments["jid"]), jpeg(arguments["path"]))}


def set_announce(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Whether only admins may write."""
    session.client.set_group_announce(group(arguments["jid"]), bool(arguments["announce"]))


def set_locked(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Whether only admins may change subject, description and picture."""
    session.client.set_group_locked(group(arguments["jid"]), bool(arguments["locked"]))


def invite_link(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """The invite link; with `reset` a new one, and the old one ends."""
    link = session.client.get_group_invite_link(group(arguments["jid"]), revoke=bool(arguments.get("reset")))
    return {"link": link}


def by_link(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """The group behind an invite link, without joining it."""
    return _group(session, session.client.get_group_info_from_link(_code(arguments["link"])))


def join(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """Join by link. `joined` is false when an admin must approve first.

    neonize tells the group only, not which of the two happened, so the group is asked for: only members may.
    """
    jid = session.client.join_group_with_link(_code(arguments["link"]))
    joined: bool | None = None
    try:
        session.client.get_group_info(jid)
        joined = True
    except GetGroupInfoError as error:
        if "not participating" in str(error):
            joined = False
    return {"jid": jid_text(jid), "joined": joined}


def leave(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Leave a group."""
    session.client.leave_group(group(arguments["jid"]))


def join_requests(session: "NeonizeSession", arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Who waits for an admin's approval. neonize has no call that approves or rejects."""
    return [
        {
            "jid": person_text(one.Participant),
            "phone": phone_of(session, one.Participant),
            "lid": lid_of(session, one.Participant),
            "requested_at": _when(one.TimeAt / 1_000_000),
        }
        for one in session.client.get_group_request_participants(group(arguments["jid"]))
    ]


def jpeg(path: object) -> bytes:
    """The picture in a file of this machine. Raises CallRefused: neonize cannot remove one, nor take other formats."""
    if path is None:
        raise CallRefused("Unsupported", "this engine cannot remove a picture; set another one")
    try:
        content = Path(str(path)).read_bytes()
    except OSError as error:
        raise CallRefused("FileUnreadable", f"the file cannot be read: {error.strerror}") from error
    if not content.startswith(_JPEG):
        raise CallRefused("Invalid", "the picture is no JPEG")
    return content


def _subject(arguments: dict[str, Any]) -> str:
    subject = str(arguments["subject"])
    if not subject.strip() or "\x00" in subject:
        raise CallRefused("Invalid", "a group needs a subject")
    return subject


def _code(link: object) -> str:
    code = str(link).strip().removeprefix(LINK_PREFIX).partition("?")[0]
    if not _INVITE_CODE.fullmatch(code):
        raise CallRefused("Invalid", f"an invite link looks like {LINK_PREFIX}…")
    return code


def _group(session: "NeonizeSession", info: GroupInfo, *, whole: bool = True) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "jid": jid_text(info.JID),
        "subject": info.GroupName.Name,
        "subject_at": _when(info.GroupName.NameSetAt),
        "subject_by": person_text(info.GroupName.NameSetBy) or None,
        "description": info.GroupTopic.Topic or None,
        "description_at": _when(info.GroupTopic.TopicSetAt),
        "description_by": person_text(info.GroupTopic.TopicSetBy) or None,
        "owner": person_text(info.OwnerJID) or None,
        "owner_phone": info.OwnerPN.User or phone_of(session, info.OwnerJID),
        "created_at": _when(info.GroupCreated),
        "locked": info.GroupLocked.isLocked,
        "announce": info.GroupAnnounce.IsAnnounce,
        "disappearing_seconds": info.GroupEphemeral.DisappearingTimer if info.GroupEphemeral.IsEphemeral else 0,
        "community": info.GroupParent.IsParent,
        "community_jid": jid_text(info.GroupLinkedParent.LinkedParentJID) or None,
        "size": len(info.Participants),
    }
    if whole:
        shown["participants"] = [_member(session, one) for one in info.Participants]
    return shown


def _member(session: "NeonizeSession", one: GroupParticipant) -> dict[str, Any]:
    role = "superadmin" if one.IsSuperAdmin else "admin" if one.IsAdmin else "member"
    return {
        **_who(session, one),
        "role": role,
        "name": one.DisplayName or None,
        "error": _NOT_ADDED.get(one.Error, "refused") if one.Error else None,
    }


def _outcome(session: "NeonizeSession", one: GroupParticipant, *, adding: bool) -> dict[str, Any]:
    words = _NOT_ADDED if adding else _NOT_CHANGED
    return {
        **_who(session, one),
        "done": not one.Error,
        "error": words.get(one.Error, "refused") if one.Error else None,
        "error_code": one.Error or None,
    }


def _who(session: "NeonizeSession", one: GroupParticipant) -> dict[str, Any]:
    return {
        "jid": person_text(one.JID),
        "phone": one.PhoneNumber.User or phone_of(session, one.JID),
        "lid": f"{one.LID.User}@{one.LID.Server}" if one.LID.User else lid_of(session, one.JID),
    }


def _when(seconds: float) -> int | None:
    """neonize gives Go's zero time as a negative number, and some times as 32-bit floats: right to about a minute."""
    return int(seconds) if seconds > 0 else None


CALLS: dict[str, "Callable[[NeonizeSession, dict[str, Any]], Any]"] = {
    "groups": groups,
    "group": one_group,
    "create_group": create_group,
    "change_participants": change_participants,
    "set_group_subject": set_subject,
    "set_group_description": set_description,
    "set_group_picture": set_picture,
    "set_group_announce": set_announce,
    "set_group_locked": set_locked,
    "group_invite_link": invite_link,
    "group_by_link": by_link,
    "join_group": join,
    "leave_group": leave,
    "join_requests": join_requests,
}
