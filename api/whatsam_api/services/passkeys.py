"""Pairing of an account that asks for a passkey: what it asks for, the answer, and the code to compare."""

import base64
import json
from datetime import UTC, datetime
from typing import Any, cast

from whatsam_api.errors import InvalidField, SessionNotReady
from whatsam_api.policies.session_view import shown_pairing
from whatsam_api.services.session_calls import SessionCalls
from whatsam_api.storage.sessions import SessionStore
from whatsam_core.resources import PasskeyStatus, WhatsAppSession

PHONE_WAIT = 10.0
"""Seconds to wait for the phone to go on after a good answer."""


class PasskeyService:
    """What a tenant does between the scan and the device, where the account has a passkey."""

    def __init__(self, store: SessionStore, calls: SessionCalls) -> None:
        self._store = store
        self._calls = calls

    async def answer(self, session: WhatsAppSession, credential: dict[str, Any]) -> WhatsAppSession:
        """Hand in the authenticator's answer; the session as it is when the phone has gone on. Raises `ApiError`."""
        session, asked = await self._asked(session)
        if credential["rawId"] != credential["id"]:
            raise InvalidField("rawId", "must be the same as id")
        if _challenge(credential) != json.loads(asked.request).get("challenge"):
            raise InvalidField("response.clientDataJSON", "the answer is to another request; fetch it anew")
        await self._calls.pair(session, "answer_passkey", response=credential)

        def has_gone_on(now: WhatsAppSession | None) -> bool:
            passkey = passkey_of(now) if now is not None else None
            return passkey is None or passkey.confirmation_code is not None

        return await self._store.wait_for(session.metadata.name, has_gone_on, PHONE_WAIT) or session

    async def confirm(self, session: WhatsAppSession) -> None:
        """Somebody has compared the codes and they are the same. Raises `ApiError`."""
        session, asked = await self._asked(session)
        if asked.confirmation_code is None:
            raise SessionNotReady("there is no code to compare yet; answer the passkey's request first")
        await self._calls.pair(session, "confirm_passkey")

    async def _asked(self, session: WhatsAppSession) -> tuple[WhatsAppSession, PasskeyStatus]:
        passkey = passkey_of(session)
        if passkey is None or passkey.confirmation_code is None:  # the cache may be a moment behind
            session = await self._store.newest(session.metadata.name) or session
            passkey = passkey_of(session)
        if passkey is None:
            raise SessionNotReady("no passkey is asked for now; look at the session's status")
        return session, passkey


def passkey_of(session: WhatsAppSession) -> PasskeyStatus | None:
    """What the account asks for now."""
    pairing = shown_pairing(session, datetime.now(UTC))
    return pairing.passkey if pairing is not None else None


def _challenge(credential: dict[str, Any]) -> object:
    encoded = credential["response"]["clientDataJSON"]
    try:
        said = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise InvalidField("response.clientDataJSON", "no JSON object in base64url")
    return cast("dict[str, Any]", said).get("challenge")
