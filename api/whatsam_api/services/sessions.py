"""Sessions of a tenant: creating, finding, connecting, disconnecting, deleting."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from whatsam_api.errors import LimitReached, SessionNotFound, SessionNotReady, Unavailable
from whatsam_api.policies.session_view import is_running, shown_pairing, status_word
from whatsam_api.policies.tiers import may_run_another, session_limit
from whatsam_api.services.api_keys import ApiKeyService, CreatedKey
from whatsam_api.services.identity import Principal
from whatsam_api.storage.locks import TenantLocks
from whatsam_api.storage.sessions import SessionStore
from whatsam_core import names
from whatsam_core.resources import DeletionPolicy, DesiredState, PairingMethod, Phase, WhatsAppSession

CODE_WAIT = 20.0
"""Seconds to wait for a pairing code after it was asked for."""


@dataclass(frozen=True)
class NewSession:
    """What a tenant asks for."""

    name: str
    session_id: str | None
    pool: str
    connect: bool


@dataclass(frozen=True)
class PairingCode:
    """Eight characters to type on the phone, and until when they work."""

    code: str
    expires_at: datetime | None


class SessionService:
    """What a tenant may do with sessions. Another tenant's session does not exist for him."""

    def __init__(self, store: SessionStore, locks: TenantLocks, keys: ApiKeyService) -> None:
        self._store = store
        self._locks = locks
        self._keys = keys

    async def find(self, principal: Principal, session_id: str) -> WhatsAppSession:
        """The session, from the cache where it is the caller's, else from the API server. Raises `SessionNotFound`.

        A session that another replica made a moment ago is found. One that is somebody else's takes as long to be
        refused as one that is not there.
        """
        if not self._store.synced.is_set():
            raise Unavailable("the API is starting; try again")
        session = self._store.cached(session_id)
        if session is None or not self._is_of(principal, session):
            session = await self._store.newest(session_id)
        if session is None or not self._is_of(principal, session):
            raise SessionNotFound(session_id)
        return session

    def _is_of(self, principal: Principal, session: WhatsAppSession) -> bool:
        if session.spec.tenant != principal.tenant:
            return False
        return principal.session is None or principal.session == self.row_key(session)

    def row_key(self, session: WhatsAppSession) -> str:
        """`<namespace>/<name>`: what the session's rows are filed under."""
        return f"{session.metadata.namespace}/{session.metadata.name}"

    def page(
        self, principal: Principal, *, status: str | None, limit: int, offset: int
    ) -> tuple[Sequence[WhatsAppSession], int]:
        """The tenant's sessions, those made with kubectl too; and how many there are in all."""
        if not self._store.synced.is_set():
            raise Unavailable("the API is starting; try again")
        mine = [
            session
            for session in self._store.of_tenant(principal.tenant)
            if (status is None or status_word(session) == status)
            and (principal.session is None or principal.session == self.row_key(session))
        ]
        return mine[offset : offset + limit], len(mine)

    async def create(self, principal: Principal, wish: NewSession) -> tuple[WhatsAppSession, CreatedKey]:
        """A new session and its first API key. Raises `LimitReached` or `SessionExists`."""
        name = wish.session_id or f"s-{secrets.token_hex(5)}"
        spec: dict[str, Any] = {
            "tenant": principal.tenant,
            "displayName": wish.name,
            "poolRef": {"name": wish.pool},
            "desiredState": (DesiredState.RUNNING if wish.connect else DesiredState.STOPPED).value,
        }
        async with self._locks.hold(principal.tenant) as transaction:
            if wish.connect:
                await self._check_limit(principal)
            # The key first: it goes with the transaction when the cluster refuses the object, and a session whose
            # key nobody was ever shown is the rarer half-done thing (the commit that fails after all).
            key = await self._keys.create(
                principal.tenant,
                f"{self._store.namespace}/{name}",
                name="first key",
                scopes=["send", "read", "manage"],
                expires_at=None,
                within=transaction,
            )
            session = await self._store.create(name, spec, [names.FINALIZER_API])
        return session, key

    async def connect(self, principal: Principal, session_id: str) -> WhatsAppSession:
        """Ask for the session to run. Raises `LimitReached`."""
        session = await self.find(principal, session_id)
        if session.metadata.deleting:
            raise SessionNotReady("the session is being deleted")
        if session.spec.desired_state is DesiredState.RUNNING:
            return session
        async with self._locks.hold(principal.tenant):
            await self._check_limit(principal, besides=session.metadata.uid)
            return await self._desire(session, DesiredState.RUNNING)

    async def disconnect(self, principal: Principal, session_id: str) -> WhatsAppSession:
        """Ask for the session to stop; the device stays paired."""
        return await self._desire(await self.find(principal, session_id), DesiredState.STOPPED)

    async def delete(self, principal: Principal, session_id: str) -> WhatsAppSession:
        """Delete the session; its device is logged out and its state destroyed."""
        session = await self.find(principal, session_id)
        if session.metadata.deleting:
            return session
        session = await self._store.patch(session, {"spec": {"deletionPolicy": DeletionPolicy.LOGOUT.value}})
        await self._store.delete(session)
        try:
            return await self._store.fresh(session.metadata.name)
        except (SessionNotFound, Unavailable):  # gone already, or the cluster went away after it took the deletion
            return session

    async def pairing_code(self, session: WhatsAppSession, phone_number: str) -> PairingCode:
        """Ask for a code to type on the phone, and wait for it. Raises `SessionNotReady` when none comes."""
        if session.status.jid is not None:
            raise SessionNotReady("the session is paired already")
        if session.spec.desired_state is DesiredState.STOPPED:
            raise SessionNotReady("the session is stopped; connect it first")
        wish = {"spec": {"pairing": {"method": PairingMethod.CODE.value, "phoneNumber": phone_number}}}
        asked = await self._store.patch(session, wish)
        known = session.status.pairing.pairing_code if session.status.pairing else None
        unchanged = asked.metadata.generation == session.metadata.generation

        def shown(now: WhatsAppSession | None) -> bool:
            code = now.status.pairing.pairing_code if now and now.status.pairing else None
            return now is None or (code is not None and (unchanged or code != known) and _works(now))

        found = await self._store.wait_for(session.metadata.name, shown, CODE_WAIT)
        pairing = found.status.pairing if found else None
        if pairing is None or found is None or not shown(found) or pairing.pairing_code is None:
            raise SessionNotReady("no code came yet; ask again, or look at the session's status")
        return PairingCode(code=pairing.pairing_code, expires_at=pairing.expires_at)

    async def wait_for_qr(self, session: WhatsAppSession, timeout: float) -> WhatsAppSession:
        """The session as soon as it shows a QR code, or as it is after `timeout` seconds."""

        def shown(now: WhatsAppSession | None) -> bool:
            return now is None or _works(now) or now.status.phase is Phase.CONNECTED

        return await self._store.wait_for(session.metadata.name, shown, timeout) or session

    async def _desire(self, session: WhatsAppSession, state: DesiredState) -> WhatsAppSession:
        if session.spec.desired_state is state:
            return session
        return await self._store.patch(session, {"spec": {"desiredState": state.value}})

    async def _check_limit(self, principal: Principal, besides: str | None = None) -> None:
        """Only under the tenant's lock: what is counted here must still be true when the object is written."""
        limit = session_limit(principal.user.tier, principal.user.role)
        present = await self._store.fresh_of_tenant(principal.tenant)
        running = sum(is_running(session) for session in present if session.metadata.uid != besides)
        if not may_run_another(running, limit):
            raise LimitReached(
                f"your tier allows {limit} running session(s); disconnect or delete one, or ask for a higher tier"
            )


def _works(session: WhatsAppSession) -> bool:
    return shown_pairing(session, datetime.now(UTC)) is not None
