"""Login of a linked device, and its way offline. Each login of a device replaces the connection it had."""

from __future__ import annotations

import base64
import os

from whatsam_simulator.journal.records import EndReason
from whatsam_simulator.server.connection import Connection, stream_error
from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import Fields
from whatsam_simulator.world.records import Device

USERNAME, DEVICE = 1, 18
LOGGED_OUT = 401
TEMPORARY_BAN = 402


class Login:
    """Decides who may be which device."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def begin(self, link: Connection, payload: Fields) -> None:
        """A client that says it is linked has finished its handshake."""
        context, number = self._context, str(payload.integer(USERNAME))
        account = context.world.accounts.get(number)
        device = account.devices.get(payload.integer(DEVICE, 0)) if account else None
        if context.faults.login_failure and context.faults.concern(number):
            link.end(_failure(context.faults.login_failure, context.faults.ban_code), EndReason.REFUSED)
            return
        if device is None or not device.id or device.noise_public != link.noise_public:
            link.end(_failure(LOGGED_OUT), EndReason.REFUSED)
            return
        context.journal.hold(device.key, link.id)
        older = context.link(device)
        if older is not None:
            older.end(stream_error(None, "replaced"), EndReason.REPLACED)
        link.device, context.online[device.key] = device, link
        attrs = {
            "t": context.timestamp(),
            "props": "27",
            "companion_enc_static": base64.b64encode(os.urandom(32)).decode(),
            "lid": device.lid,
            "location": "sim",
        }
        link.send(element("success", attrs))


def _failure(reason: int, ban_code: int = 101) -> Node:
    more = {"code": str(ban_code), "expire": "3600"} if reason == TEMPORARY_BAN else {}
    return element("failure", {"reason": reason, "location": "sim", **more})


def unlink(context: Context, device: Device) -> None:
    """The account's phone removes a companion: it is told, and can never log in again."""
    link: Link | None = context.link(device)
    context.world.remove_device(device)
    if link is not None:
        link.end(stream_error(LOGGED_OUT, "device_removed"), EndReason.UNLINKED)
