"""Calls of people → journal. To reject one is in `calls.messaging`."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonize.events import CallAcceptEv, CallOfferEv, CallOfferNoticeEv, CallTerminateEv
from neonize.proto.Neonize_pb2 import BasicCallMeta, Node

from whatsam_connector.engine.neonize_adapter.jids import jid_text, person_text, phone_of
from whatsam_connector.engine.neonize_adapter.subscription import on
from whatsam_connector.journal import CallStep, InboundCall

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_GROUP = "group-jid"
"""Attribute of an offer that names the group; neonize has no field for it."""


def subscribe(session: "NeonizeSession") -> None:
    """Subscribe one session to calls."""

    def keep(record: InboundCall) -> None:
        session.keep(record, is_message=False)

    on(session, CallOfferEv, lambda event: keep(call_record(event.basicCallMeta, CallStep.OFFERED, event.data)))
    on(session, CallOfferNoticeEv, lambda event: keep(notice_record(event)))
    on(session, CallAcceptEv, lambda event: keep(call_record(event.basicCallMeta, CallStep.ACCEPTED, event.data)))
    on(session, CallTerminateEv, lambda event: keep(terminate_record(event)))


def notice_record(event: CallOfferNoticeEv) -> InboundCall:
    """The record of an offer that comes as a notice (to groups)."""
    return call_record(event.basicCallMeta, CallStep.OFFERED, event.data, video=event.media == "video")


def terminate_record(event: CallTerminateEv) -> InboundCall:
    """The record of a call's end."""
    return call_record(event.basicCallMeta, CallStep.ENDED, event.data, reason=event.reason or None)


def call_record(
    meta: BasicCallMeta, step: CallStep, data: Node, *, video: bool = False, reason: str | None = None
) -> InboundCall:
    """The record of a step of a call; `data` is WhatsApp's own stanza."""
    caller = meta.callCreator if meta.callCreator.User else getattr(meta, "from")
    return InboundCall(
        event_id=uuid.uuid4().hex,
        call_id=meta.callID,
        step=step,
        caller=person_text(caller),
        caller_phone=phone_of(caller, meta.callCreatorAlt),
        group=_group(data),
        video=video or any(node.Tag == "video" for node in data.Nodes),
        reason=reason,
        timestamp=datetime.fromtimestamp(meta.timestamp, UTC),
    )


def _group(data: Node) -> str | None:
    for attribute in data.Attrs:
        if attribute.name == _GROUP:
            return jid_text(attribute.jid) or attribute.text or None
    return None
