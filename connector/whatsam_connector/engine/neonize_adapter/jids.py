"""JIDs: between WhatsApp's text form and neonize's protobuf."""

import re

from neonize.proto.Neonize_pb2 import JID

GROUP_SERVER = "g.us"
LID_SERVER = "lid"
PHONE_SERVER = "s.whatsapp.net"

_JID = re.compile(r"([^.:@\s]+)(?:\.(\d+))?(?::(\d+))?@([a-z0-9.]+)")


def parse_jid(text: str) -> JID:
    """`<user>[.<agent>][:<device>]@<server>` as protobuf; raises ValueError for anything else."""
    match = _JID.fullmatch(text)
    if match is None:
        raise ValueError("not a JID")
    user, agent, device, server = match.groups()
    return JID(User=user, RawAgent=int(agent or 0), Device=int(device or 0), Integrator=0, Server=server, IsEmpty=False)


def jid_text(jid: JID) -> str:
    """The text form; empty for an empty JID."""
    if not jid.Server:
        return ""
    if jid.RawAgent:
        return f"{jid.User}.{jid.RawAgent}:{jid.Device}@{jid.Server}"
    if jid.Device:
        return f"{jid.User}:{jid.Device}@{jid.Server}"
    return f"{jid.User}@{jid.Server}" if jid.User else jid.Server


def person_text(jid: JID) -> str:
    """The text form without the device: who, not which of their devices."""
    return f"{jid.User}@{jid.Server}" if jid.User else jid_text(jid)


def phone_of(*candidates: JID) -> str | None:
    """The digits of the first candidate that is addressed by phone number."""
    return next((jid.User for jid in candidates if jid.Server == PHONE_SERVER and jid.User), None)
