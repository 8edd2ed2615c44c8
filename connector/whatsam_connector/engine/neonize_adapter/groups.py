"""Groups: what changed in them, and into which ones we have come → journal."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonize.events import GroupInfoEv, JoinedGroupEv
from neonize.proto.Neonize_pb2 import JID, GroupParticipant

from whatsam_connector.engine.neonize_adapter.inbound import optional_person, readable
from whatsam_connector.engine.neonize_adapter.jids import person_text, phone_of
from whatsam_connector.engine.neonize_adapter.subscription import on
from whatsam_connector.journal import GroupMember, GroupRole, InboundGroup, InboundGroupChange

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession


def subscribe(session: "NeonizeSession") -> None:
    """Subscribe one session to its groups."""
    on(session, JoinedGroupEv, lambda event: session.keep(group_record(event, datetime.now(UTC)), is_message=False))
    on(session, GroupInfoEv, lambda event: session.keep(change_record(event), is_message=False))


def group_record(event: JoinedGroupEv, now: datetime) -> InboundGroup:
    """The record of a group that we have come into. neonize tells no time for it, and only a rough one of its birth."""
    info = event.GroupInfo
    return InboundGroup(
        event_id=uuid.uuid4().hex,
        group=person_text(info.JID),
        reason=event.Reason,
        subject=readable(info.GroupName.Name) or "",
        description=readable(info.GroupTopic.Topic) or "",
        owner=optional_person(info.OwnerJID),
        announce=info.GroupAnnounce.IsAnnounce,
        locked=info.GroupLocked.isLocked,
        ephemeral_seconds=info.GroupEphemeral.DisappearingTimer if info.GroupEphemeral.IsEphemeral else 0,
        members=tuple(_member(participant) for participant in info.Participants),
        timestamp=now,
    )


def change_record(event: GroupInfoEv) -> InboundGroupChange:
    """The record of a change."""

    def people(jids: Iterable[JID]) -> tuple[str, ...]:
        return tuple(person_text(jid) for jid in jids)

    ephemeral = event.Ephemeral.DisappearingTimer if event.Ephemeral.IsEphemeral else 0
    topic = "" if event.Topic.TopicDeleted else event.Topic.Topic
    return InboundGroupChange(
        event_id=uuid.uuid4().hex,
        group=person_text(event.JID),
        by=optional_person(event.Sender),
        timestamp=datetime.fromtimestamp(event.Timestamp, UTC),
        joined=people(event.Join),
        left=people(event.Leave),
        promoted=people(event.Promote),
        demoted=people(event.Demote),
        join_reason=event.JoinReason,
        subject=readable(event.Name.Name) if event.HasField("Name") else None,
        description=readable(topic) if event.HasField("Topic") else None,
        announce=event.Announce.IsAnnounce if event.HasField("Announce") else None,
        locked=event.Locked.isLocked if event.HasField("Locked") else None,
        ephemeral_seconds=ephemeral if event.HasField("Ephemeral") else None,
        deleted=event.Delete.Deleted,
        invite_link=event.NewInviteLink or None,
        other=tuple(node.Tag for node in event.UnknownChanges),
    )


def _member(participant: GroupParticipant) -> GroupMember:
    role = GroupRole.ADMIN if participant.IsAdmin else GroupRole.MEMBER
    if participant.IsSuperAdmin:
        role = GroupRole.OWNER
    return GroupMember(person_text(participant.JID), phone_of(participant.PhoneNumber, participant.JID), role)
