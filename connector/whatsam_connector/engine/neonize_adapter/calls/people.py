"""Persons in calls: JIDs out of arguments, and which phone number and which LID belong together.

WhatsApp names a person by phone number or by LID. What the device has learned of the pairs is in its own file; looking
there asks nobody. neonize crashes the process when it looks for a client that it does not know (`get_pn_from_lid`,
`get_lid_from_pn`, `get_me`), so these are called from calls only: those run while the session is connected.
"""

import contextlib
from typing import TYPE_CHECKING

from neonize.exc import NeonizeError
from neonize.proto.Neonize_pb2 import JID

from whatsam_connector.engine.neonize_adapter.calls.errors import CallRefused
from whatsam_connector.engine.neonize_adapter.jids import LID_SERVER, PHONE_SERVER, parse_jid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

GROUP_SERVER = "g.us"
NEWSLETTER_SERVER = "newsletter"


def jid_on(text: object, *servers: str) -> JID:
    """The JID of an argument, if it is on one of these servers. Raises CallRefused."""
    if isinstance(text, str):
        try:
            jid = parse_jid(text)
        except ValueError:
            jid = None
        if jid is not None and jid.Server in servers:
            return jid
    raise CallRefused("Invalid", f"this takes a JID on {' or '.join(servers)}")


def person(text: object) -> JID:
    """A person, by phone number or LID."""
    return jid_on(text, PHONE_SERVER, LID_SERVER)


def persons(texts: "Iterable[object]") -> list[JID]:
    """Persons."""
    return [person(text) for text in texts]


def group(text: object) -> JID:
    """A group."""
    return jid_on(text, GROUP_SERVER)


def learn(session: "NeonizeSession", who: "Iterable[JID]") -> None:
    """Let the device learn the LIDs of those whom it knows by number only.

    WhatsApp answers changes of a group with LIDs: without this nobody could tell which number an outcome belongs to.
    """
    unknown = [jid for jid in who if jid.Server == PHONE_SERVER and lid_of(session, jid) is None]
    if unknown:
        with contextlib.suppress(NeonizeError):  # the change itself does without
            session.client.get_user_info(*unknown)


def plain(jid: JID) -> JID:
    """The person behind a device."""
    return JID(User=jid.User, RawAgent=0, Device=0, Integrator=0, Server=jid.Server, IsEmpty=False)


def phone_of(session: "NeonizeSession", jid: JID) -> str | None:
    """The digits of a person's phone number, as far as this device knows them."""
    if jid.Server == PHONE_SERVER:
        return jid.User or None
    if jid.Server != LID_SERVER:
        return None
    return session.client.get_pn_from_lid(plain(jid)).User or None


def lid_of(session: "NeonizeSession", jid: JID) -> str | None:
    """A person's LID as text, as far as this device knows it."""
    found = jid if jid.Server == LID_SERVER else None
    if jid.Server == PHONE_SERVER:
        found = session.client.get_lid_from_pn(plain(jid))
    return f"{found.User}@{LID_SERVER}" if found is not None and found.User else None
