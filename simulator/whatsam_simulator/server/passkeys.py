"""Linking a companion whose account asks for a passkey, on the server's and the phone's side. Used by `pairing`.

After the scan the server sends WebAuthn options; the companion answers with an assertion, a commitment to a nonce and,
where its code was scanned a moment ago, a proof of that. Phone and companion then agree on a key and a code to compare,
and the companion sends its keys under it. Source: whatsmeow, `pair-passkey.go`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whatsam_simulator.crypto.keys import KeyPair, derive, mac
from whatsam_simulator.crypto.webauthn import check_assertion, public_key, request_options
from whatsam_simulator.errors import BadMac, BadSignature, MalformedInput, QueryRefused
from whatsam_simulator.journal.records import ViolationKind
from whatsam_simulator.server.connection import Connection, result
from whatsam_simulator.server.context import Context
from whatsam_simulator.wire.jid import SERVER
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import Fields, decode, encode

HANDOFF = b"shortcake-passkey-handoff-v1"
ENCRYPTION = b"Pairing Information Encryption Key"
CODE_ALPHABET = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "123456789ABCDEFGHJKLMNPQRSTVWXYZ")


@dataclass(frozen=True)
class Passkey:
    """What the owner of a phone has set up, and how phone and server behave."""

    credential: bytes
    public_key: bytes
    """SubjectPublicKeyInfo, DER."""
    rp_id: str = "whatsapp.com"
    timeout_seconds: int = 300
    options_on_request: bool = False
    """The first word carries no options: the companion has to ask for them."""
    continues_with: int = 1
    """With which good answer the phone goes on; a companion proves its scan with the first one only."""
    phone: Literal["continues", "silent", "garbled"] = "continues"


@dataclass
class Progress:
    """How far one linking has come."""

    asked: bool = False
    refused: int = 0
    answered: int = 0
    handoff_proven: bool = False
    code: str = ""
    """What the phone shows for its owner to compare."""
    confirmed: bool = False


@dataclass
class Ceremony:
    """One linking of one phone by passkey."""

    number: str
    passkey: Passkey
    secret: bytes
    """The ADV secret of the code that was scanned or typed."""
    progress: Progress
    challenge: bytes = field(default_factory=lambda: os.urandom(32))
    reference: str = field(default_factory=lambda: f"2@{base64.b64encode(os.urandom(24)).decode()}")
    ephemeral: KeyPair = field(default_factory=KeyPair)
    nonce: bytes = field(default_factory=lambda: os.urandom(32))
    companion: Fields | None = None
    """Its ephemeral identity."""
    commitment: bytes = b""

    @property
    def options(self) -> Node:
        wanted = request_options(
            self.challenge, self.passkey.rp_id, self.passkey.credential, self.passkey.timeout_seconds
        )
        return element("passkey_request_options", {}, json.dumps(wanted))


@dataclass(frozen=True)
class CompanionKeys:
    """What the companion sends at the end."""

    noise: bytes
    identity: bytes
    adv_secret: bytes


class Passkeys:
    """The phones that have a passkey, and what their companions are asked for."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.of: dict[str, Passkey] = {}
        self.progress: dict[str, Progress] = {}

    def begin(self, link: Connection, number: str, secret: bytes) -> Ceremony | None:
        """Ask the companion for the passkey, if the phone has one."""
        passkey = self.of.get(number)
        if passkey is None:
            return None
        progress = self.progress[number] = Progress(asked=True)
        ceremony = Ceremony(number, passkey, secret, progress)
        content = [] if passkey.options_on_request else [ceremony.options]
        self._notify(link, "passkey_prologue_request", content)
        return ceremony

    def handle(self, link: Connection, ceremony: Ceremony, iq: Node) -> CompanionKeys | None:
        """A query of the companion; its keys at the end. Raises `QueryRefused` for what a server refuses."""
        question = iq.children[0] if iq.children else element("nothing")
        match question.tag:
            case "ref":
                link.send(result(iq, [element("ref", {}, ceremony.reference)]))
            case "passkey_request_options":
                link.send(result(iq, [ceremony.options]))
            case "passkey_prologue":
                try:
                    self._check_prologue(ceremony, question)
                except (BadSignature, BadMac) as error:
                    ceremony.progress.refused += 1
                    # A wrong passkey is its owner's affair; the proof of the scan is the engine's own work.
                    if isinstance(error, BadMac):
                        self._context.journal.violation(ViolationKind.BAD_MAC, None, f"passkey: {error}")
                    raise QueryRefused(403, "forbidden") from None
                ceremony.progress.answered += 1
                link.send(result(iq))
                if ceremony.progress.answered >= ceremony.passkey.continues_with:
                    self._continue(link, ceremony)
            case "companion_nonce":
                self._compare(ceremony, question.data)
                link.send(result(iq))
            case "encrypted_pairing_request":
                keys = _opened(ceremony, decode(question.data))
                ceremony.progress.confirmed = True
                link.send(result(iq))
                return keys
            case _:
                link.send(result(iq))
        return None

    def _check_prologue(self, ceremony: Ceremony, prologue: Node) -> None:
        payload = prologue.need("prologue_payload").data
        if prologue.need("credential_id").data != ceremony.passkey.credential:
            raise BadSignature("another credential than the one that was asked for")
        check_assertion(
            prologue.need("webauthn_assertion").data,
            key=public_key(ceremony.passkey.public_key),
            credential=ceremony.passkey.credential,
            challenge=ceremony.challenge,
            rp_id=ceremony.passkey.rp_id,
        )
        proof = prologue.child("pairing_handoff_proof")
        if proof is not None:
            wanted = mac(derive(ceremony.secret, None, HANDOFF, 32), payload)
            if not hmac.compare_digest(proof.data, wanted):
                raise BadMac("the handoff proof does not fit the code that was scanned")
        ceremony.progress.handoff_proven = proof is not None
        fields = decode(payload)
        ceremony.companion = decode(fields.data(1))
        ceremony.commitment = fields.message(2).data(1)
        if ceremony.companion.text(3) != ceremony.reference:
            raise BadSignature("another reference than the one that was given")

    def _continue(self, link: Connection, ceremony: Ceremony) -> None:
        if ceremony.passkey.phone == "silent":
            return
        nonce = ceremony.nonce if ceremony.passkey.phone == "continues" else b"short"
        identity = encode((1, ceremony.ephemeral.public), (2, nonce))
        self._notify(link, "crsc_continuation", [element("primary_ephemeral_identity", {}, identity)])

    def _compare(self, ceremony: Ceremony, companion_nonce: bytes) -> None:
        if ceremony.companion is None:
            raise MalformedInput("a nonce before its commitment")
        if hashlib.sha256(ceremony.companion.raw + companion_nonce).digest() != ceremony.commitment:
            raise QueryRefused(403, "the nonce is not the one that was committed to")
        digest = hashlib.sha256(companion_nonce + ceremony.ephemeral.public).digest()
        code = bytes(mine ^ theirs for mine, theirs in zip(ceremony.nonce[:5], digest, strict=False))
        letters = base64.b32encode(code).decode().translate(CODE_ALPHABET)
        ceremony.progress.code = f"{letters[:4]}-{letters[4:]}"

    def _notify(self, link: Connection, kind: str, content: list[Node]) -> None:
        attrs = {"from": SERVER, "type": kind, "id": os.urandom(5).hex(), "t": self._context.timestamp()}
        link.send(element("notification", attrs, content))


def _opened(ceremony: Ceremony, request: Fields) -> CompanionKeys:
    if ceremony.companion is None or not ceremony.progress.code:
        raise MalformedInput("a pairing request before the code was agreed")
    shared = ceremony.ephemeral.agree(ceremony.companion.data(1))
    salt = f"Companion Pairing {ceremony.companion.integer(2)} with ref {ceremony.reference}".encode()
    try:
        plain = AESGCM(derive(shared, salt, ENCRYPTION, 32)).decrypt(request.data(2), request.data(1), None)
    except (InvalidTag, ValueError):
        raise QueryRefused(400, "the pairing request cannot be opened") from None
    keys = decode(plain)
    return CompanionKeys(keys.data(1), keys.data(2), keys.data(3))
