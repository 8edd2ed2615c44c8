"""The server's list of each device's prekeys: uploads are checked, bundles are handed out, low stock is announced."""

from __future__ import annotations

import os

from whatsam_simulator.crypto.keys import raw_public, verify, wire_public
from whatsam_simulator.crypto.ratchet import Bundle
from whatsam_simulator.errors import BadSignature, NoSession
from whatsam_simulator.server.context import Context
from whatsam_simulator.wire.jid import SERVER
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Device, SignedPrekey

LOW_STOCK = 4
"""whatsmeow uploads again when told of fewer than 5."""


def upload(context: Context, device: Device, iq: Node) -> None:
    """Takes a device's keys; raises `BadSignature` when its signed prekey is not signed by its identity."""
    identity = raw_public(iq.need("identity").data)
    signed = iq.need("skey")
    prekey = SignedPrekey(signed.need("id").data, raw_public(signed.need("value").data), signed.need("signature").data)
    if identity != device.identity:
        raise BadSignature("prekeys of another identity than the one that was linked")
    if not verify(identity, wire_public(prekey.public), prekey.signature):
        raise BadSignature("the signed prekey is not signed by the device's identity")
    device.registration, device.signed_prekey = iq.need("registration").data, prekey
    for key in iq.need("list").children:
        device.prekeys[key.need("id").data.hex()] = raw_public(key.need("value").data)
    context.world.changed.add(device.number)


def take_one(context: Context, device: Device) -> tuple[str, bytes] | None:
    """The oldest one-time prekey, which nobody else gets any more."""
    if not device.prekeys:
        return None
    number = next(iter(device.prekeys))
    key = device.prekeys.pop(number)
    context.world.changed.add(device.number)
    if len(device.prekeys) <= LOW_STOCK:
        _announce_low_stock(context, device)
    return number, key


def _announce_low_stock(context: Context, device: Device) -> None:
    if device.signal is not None:
        made = device.signal.make_prekeys()
        device.prekeys.update({number.to_bytes(3).hex(): key for number, key in made.items()})
        return
    link = context.link(device)
    if link is not None:
        attrs = {"from": SERVER, "type": "encrypt", "id": os.urandom(5).hex(), "t": context.timestamp()}
        link.send(element("notification", attrs, [element("count", {"value": len(device.prekeys)})]))


def bundle_node(context: Context, device: Device, signed: SignedPrekey) -> list[Node]:
    """A bundle as a client gets it."""
    content = [
        element("registration", {}, device.registration),
        element("type", {}, b"\x05"),
        element("identity", {}, device.identity),
        signed_prekey_node(signed),
    ]
    one_time = take_one(context, device)
    if one_time is not None:
        content.append(prekey_node(*one_time))
    return content


def bundle(context: Context, device: Device) -> Bundle:
    """A bundle as a phone or contact uses it, after the checks that a real peer makes."""
    signed = device.signed_prekey
    if signed is None:
        raise NoSession("the device has uploaded no keys")
    if not verify(device.identity, wire_public(signed.public), signed.signature):
        raise BadSignature("the signed prekey is not signed by the device's identity")
    one_time = take_one(context, device)
    number = int.from_bytes(signed.number)
    if one_time is None:
        return Bundle(device.identity, number, signed.public)
    return Bundle(device.identity, number, signed.public, int(one_time[0], 16), one_time[1])


def signed_prekey_node(signed: SignedPrekey) -> Node:
    return element(
        "skey",
        {},
        [
            element("id", {}, signed.number),
            element("value", {}, signed.public),
            element("signature", {}, signed.signature),
        ],
    )


def prekey_node(number: str, key: bytes) -> Node:
    return element("key", {}, [element("id", {}, bytes.fromhex(number)), element("value", {}, key)])
