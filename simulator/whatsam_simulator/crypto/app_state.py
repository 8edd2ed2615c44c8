"""App-state patches: how a phone and its companions tell each other about chats and settings, unseen by the server.

Each mutation is encrypted with a shared key; a homomorphic hash over all of them (LTHash) proves that nothing is
missing. Source: whatsmeow, `appstate/`. Used by phones.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from whatsam_simulator.crypto.keys import cbc_decrypt, cbc_encrypt, derive, mac
from whatsam_simulator.errors import BadMac, MalformedInput
from whatsam_simulator.wire.protobuf import Fields, decode, encode

SET, REMOVE = 0, 1
MAC_SIZE = 32
HASH_SIZE = 128


@dataclass(frozen=True)
class AppStateKey:
    """A shared key: its id, and what is derived from it."""

    id: bytes
    index: bytes
    value: bytes
    value_mac: bytes
    snapshot_mac: bytes
    patch_mac: bytes

    @classmethod
    def of(cls, key_id: bytes, secret: bytes) -> AppStateKey:
        material = derive(secret, None, b"WhatsApp Mutation Keys", 160)
        return cls(key_id, *(material[at : at + 32] for at in range(0, 160, 32)))


@dataclass(frozen=True)
class Mutation:
    """One change: `index` says of what, `value` is a `SyncActionValue`."""

    index: Sequence[str]
    value: bytes
    version: int
    operation: int = SET


@dataclass
class CollectionState:
    """A collection after its patches."""

    version: int = 0
    hash: bytes = bytes(HASH_SIZE)
    value_macs: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    """Index MAC → value MAC of what is set."""

    def apply(self, patch: bytes) -> None:
        """Takes over one patch as the server keeps it; nothing is decrypted."""
        fields = decode(patch)
        for mutation in fields.every(2):
            operation, index_mac, value_mac = _macs(Fields(mutation))
            self._change(operation, index_mac, value_mac)
        self.version += 1

    def _change(self, operation: int, index_mac: bytes, value_mac: bytes) -> None:
        before = self.value_macs.pop(index_mac, None)
        if before is not None:
            self.hash = _combine(self.hash, before, -1)
        if operation == SET:
            self.hash = _combine(self.hash, value_mac, 1)
            self.value_macs[index_mac] = value_mac


def encrypt_patch(state: CollectionState, name: str, key: AppStateKey, mutations: Iterable[Mutation]) -> bytes:
    """A `SyncdPatch` without its version, as devices upload it; `state` is the collection after it then."""
    records: list[bytes] = []
    value_macs: list[bytes] = []
    for mutation in mutations:
        index = json.dumps(list(mutation.index), separators=(",", ":")).encode()
        plain = encode((1, index), (2, mutation.value), (3, b""), (4, mutation.version))
        iv = os.urandom(16)
        sealed = iv + cbc_encrypt(key.value, iv, plain)
        value_mac, index_mac = _value_mac(mutation.operation, sealed, key), mac(key.index, index)
        record = encode((1, encode((1, index_mac))), (2, encode((1, sealed + value_mac))), (3, encode((1, key.id))))
        records.append(encode((1, mutation.operation), (2, record)))
        value_macs.append(value_mac)
    bare = encode(*((2, record) for record in records))
    state.apply(bare)
    numbered = state.version.to_bytes(8) + name.encode()
    snapshot_mac = mac(key.snapshot_mac, state.hash + numbered)
    patch_mac = mac(key.patch_mac, snapshot_mac + b"".join(value_macs) + numbered)
    return bare + encode((4, snapshot_mac), (5, patch_mac), (6, encode((1, key.id))))


def decrypt_patch(patch: bytes, keys: dict[bytes, AppStateKey]) -> list[Mutation]:
    """The mutations of one patch; raises `BadMac`, or `MalformedInput` when its key is unknown."""
    opened: list[Mutation] = []
    for mutation in decode(patch).every(2):
        fields = Fields(mutation)
        record = fields.message(2)
        key = keys.get(record.message(3).data(1))
        if key is None:
            raise MalformedInput("a mutation under a key that was never shared")
        operation, blob = fields.integer(1, 0), record.message(2).data(1)
        sealed, value_mac = blob[:-MAC_SIZE], blob[-MAC_SIZE:]
        if not hmac.compare_digest(_value_mac(operation, sealed, key), value_mac):
            raise BadMac("a mutation whose value MAC does not fit")
        data = decode(cbc_decrypt(key.value, sealed[:16], sealed[16:]))
        if not hmac.compare_digest(mac(key.index, data.data(1)), record.message(1).data(1)):
            raise BadMac("a mutation whose index MAC does not fit")
        value = data.data_or_none(2) or b""
        opened.append(Mutation(json.loads(data.data(1)), value, data.integer(4, 0), operation))
    return opened


def _macs(mutation: Fields) -> tuple[int, bytes, bytes]:
    record = mutation.message(2)
    return mutation.integer(1, 0), record.message(1).data(1), record.message(2).data(1)[-MAC_SIZE:]


def _value_mac(operation: int, sealed: bytes, key: AppStateKey) -> bytes:
    length = (len(key.id) + 1).to_bytes(8)
    return hmac.new(key.value_mac, bytes([operation + 1]) + key.id + sealed + length, hashlib.sha512).digest()[:32]


def _combine(base: bytes, item: bytes, sign: int) -> bytes:
    """Adds (or subtracts) an item's expansion, 16 bits at a time."""
    expanded = derive(item, None, b"WhatsApp Patch Integrity", HASH_SIZE)
    return b"".join(
        (
            (int.from_bytes(base[at : at + 2], "little") + sign * int.from_bytes(expanded[at : at + 2], "little"))
            % 65536
        ).to_bytes(2, "little")
        for at in range(0, HASH_SIZE, 2)
    )
