"""Newsletters (channels): those that this account follows, and what it may do with them. Calls of `engine.methods`.

Reading a newsletter's messages is not here: neonize's `get_newsletter_messages` ends the whole process at a post that
was deleted (its issue 209).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from neonize.proto.Neonize_pb2 import (
    NewsletterMetadata,
    NewsletterMuteState,
    NewsletterRole,
    NewsletterThreadMetadata,
    WrappedNewsletterState,
)

from whatsam_connector.engine.neonize_adapter.calls.errors import CallRefused
from whatsam_connector.engine.neonize_adapter.calls.groups import jpeg
from whatsam_connector.engine.neonize_adapter.calls.people import NEWSLETTER_SERVER, jid_on
from whatsam_connector.engine.neonize_adapter.jids import jid_text

if TYPE_CHECKING:
    from neonize.proto.Neonize_pb2 import JID

    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

LINK_PREFIX = "https://whatsapp.com/channel/"


def newsletters(session: "NeonizeSession", _arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The newsletters that this account follows or owns."""
    return [_newsletter(one) for one in session.client.get_subscribed_newletters()]


def newsletter(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """One newsletter, by `jid` or by `link`."""
    if arguments.get("link"):
        code = str(arguments["link"]).removeprefix(LINK_PREFIX).partition("?")[0]
        if not code.isascii() or not code.isalnum():
            raise CallRefused("Invalid", f"a newsletter's link looks like {LINK_PREFIX}…")
        return _found(session.client.get_newsletter_info_with_invite(code))
    return _found(session.client.get_newsletter_info(_jid(arguments["jid"])))


def create(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """A new newsletter. WhatsApp wants its terms for newsletters to be accepted in the app before the first one."""
    name = str(arguments["name"])
    if not name.strip() or "\x00" in name:
        raise CallRefused("Invalid", "a newsletter needs a name")
    picture = jpeg(arguments["path"]) if arguments.get("path") else b""
    return _found(session.client.create_newsletter(name, str(arguments.get("description") or ""), picture))


def follow(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Follow a newsletter."""
    session.client.follow_newsletter(_jid(arguments["jid"]))


def unfollow(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Follow it no longer."""
    session.client.unfollow_newsletter(_jid(arguments["jid"]))


def mute(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Mute a newsletter, or no longer (`muted`)."""
    session.client.newsletter_toggle_mute(_jid(arguments["jid"]), bool(arguments["muted"]))


def _jid(text: object) -> "JID":
    return jid_on(text, NEWSLETTER_SERVER)


def _found(one: NewsletterMetadata) -> dict[str, Any]:
    if not one.ID.User:
        raise CallRefused("NotFound", "there is no such newsletter")
    return _newsletter(one)


def _newsletter(one: NewsletterMetadata) -> dict[str, Any]:
    about, viewer = one.ThreadMeta, one.ViewerMeta if one.HasField("ViewerMeta") else None
    return {
        "jid": jid_text(one.ID),
        "name": about.Name.Text,
        "description": about.Description.Text or None,
        "link": f"{LINK_PREFIX}{about.InviteCode}" if about.InviteCode else None,
        "subscribers": about.SubscriberCount,
        "verified": about.VerificationState == NewsletterThreadMetadata.VERIFIED,
        "state": WrappedNewsletterState.NewsletterState.Name(one.State.Type).lower(),
        "created_at": about.CreationTime if about.CreationTime > 0 else None,
        "muted": viewer.Mute == NewsletterMuteState.ON if viewer is not None else None,
        "role": NewsletterRole.Name(viewer.Role).lower() if viewer is not None else None,
    }


CALLS: dict[str, "Callable[[NeonizeSession, dict[str, Any]], Any]"] = {
    "newsletters": newsletters,
    "newsletter": newsletter,
    "create_newsletter": create,
    "follow_newsletter": follow,
    "unfollow_newsletter": unfollow,
    "mute_newsletter": mute,
}
