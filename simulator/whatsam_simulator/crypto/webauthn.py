"""WebAuthn as far as pairing by passkey needs it: what a server asks for, and the check of what it is answered.

Source: W3C Web Authentication, section 7.2. Only ES256, the algorithm that every authenticator has.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from whatsam_simulator.errors import BadSignature, MalformedInput

USER_PRESENT = 0x01
USER_VERIFIED = 0x04
_FLAGS_AT = 32
_LEAST_AUTHENTICATOR_DATA = 37


def to_text(data: bytes) -> str:
    """base64url without padding, as WebAuthn writes bytes in JSON."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_text(text: object) -> bytes:
    """The reverse of `to_text`; raises `MalformedInput`."""
    if not isinstance(text, str) or "=" in text:
        raise MalformedInput("no base64url without padding")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise MalformedInput("no base64url without padding") from None


def request_options(challenge: bytes, rp_id: str, credential: bytes, timeout_seconds: int) -> dict[str, Any]:
    """`PublicKeyCredentialRequestOptions` as JSON."""
    return {
        "challenge": to_text(challenge),
        "timeout": timeout_seconds * 1000,
        "rpId": rp_id,
        "allowCredentials": [{"id": to_text(credential), "type": "public-key", "transports": ["internal", "hybrid"]}],
        "userVerification": "required",
        "extensions": {},
    }


def public_key(der: bytes) -> EllipticCurvePublicKey:
    """A P-256 key from its SubjectPublicKeyInfo; raises `MalformedInput`."""
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedInput("no public key") from None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise MalformedInput("no P-256 key")
    return key


def check_assertion(
    assertion: bytes, *, key: EllipticCurvePublicKey, credential: bytes, challenge: bytes, rp_id: str
) -> None:
    """Raises `BadSignature` for an answer that a server refuses and `MalformedInput` for one that it cannot read."""
    answer = _object(assertion)
    response = answer.get("response")
    if answer.get("type") != "public-key" or not isinstance(response, dict):
        raise MalformedInput("no public-key credential")
    parts = cast("dict[str, Any]", response)
    if from_text(answer.get("rawId")) != credential or answer.get("id") != to_text(credential):
        raise BadSignature("another credential than the one that was asked for")
    client_data, authenticator_data = from_text(parts.get("clientDataJSON")), from_text(parts.get("authenticatorData"))
    said = _object(client_data)
    if said.get("type") != "webauthn.get":
        raise BadSignature("the client data is not that of an assertion")
    if not hmac.compare_digest(from_text(said.get("challenge")), challenge):
        raise BadSignature("the answer is to another challenge")
    origin = urlsplit(str(said.get("origin")))
    if origin.scheme != "https" or not f".{origin.hostname}".endswith(f".{rp_id}"):
        raise BadSignature("the answer was given to another site")
    if len(authenticator_data) < _LEAST_AUTHENTICATOR_DATA:
        raise MalformedInput("authenticator data cut short")
    if authenticator_data[:_FLAGS_AT] != hashlib.sha256(rp_id.encode()).digest():
        raise BadSignature("the authenticator answered for another site")
    if ~authenticator_data[_FLAGS_AT] & (USER_PRESENT | USER_VERIFIED):
        raise BadSignature("the authenticator has not verified its user")
    signed = authenticator_data + hashlib.sha256(client_data).digest()
    try:
        key.verify(from_text(parts.get("signature")), signed, ECDSA(SHA256()))
    except InvalidSignature:
        raise BadSignature("the signature does not fit") from None


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedInput("no JSON") from None
    if not isinstance(found, dict):
        raise MalformedInput("no JSON object")
    return cast("dict[str, Any]", found)
