"""The REST API as a tenant's program would call it."""

import secrets
import time
from collections.abc import Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from whatsam_local.driver.errors import CallFailed, CallRefused
from whatsam_local.driver.eventually import eventually

TIMEOUT = 40.0
"""Seconds for one call; a send may wait for its holder."""
AGAIN_FOR = 10.0
"""Seconds for which a call is made again while the session is connecting or moving."""
AGAIN_AFTER = 0.25


class WhatsamClient:
    """One logged-in user. Logs in again when the access token has expired."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/api/v1", timeout=TIMEOUT, trust_env=False)
        self._email = email
        self._password = password
        self.user: dict[str, Any] = {}
        self._expires = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @classmethod
    def register(cls, url: str, name: str) -> Self:
        """A new account with a made-up address."""
        client = cls(url, f"{name}-{secrets.token_hex(4)}@example.org", secrets.token_urlsafe(16))
        body = {"name": name, "email": client._email, "password": client._password}
        client._take(client._ask("POST", "/auth/register", body, authorised=False))
        return client

    @property
    def tenant(self) -> str:
        """The tenant whose sessions this user sees."""
        return self.user["tenant"]

    @property
    def token(self) -> str:
        """The access token, for calls made by hand."""
        self._log_in_when_needed()
        return self._http.headers["authorization"].removeprefix("Bearer ")

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Any call; the `data` of its answer. Raises `CallRefused`.

        What is certainly not done and may be asked for again (503) is asked for again for a while.
        """
        self._log_in_when_needed()
        until = time.monotonic() + AGAIN_FOR
        while True:
            try:
                return self._ask(method, path, body, **query)
            except CallRefused as refused:
                if refused.status != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > until:
                    raise
                time.sleep(AGAIN_AFTER)

    def sessions(self) -> list[dict[str, Any]]:
        """All sessions of the tenant."""
        return self.call("GET", "/sessions", limit=200)["items"]

    def session(self, session_id: str) -> dict[str, Any]:
        """One session."""
        return self.call("GET", f"/sessions/{session_id}")

    def wait_connected(self, session_ids: Iterable[str], timeout: float = 15.0) -> None:
        """Wait until the API shows these sessions connected. It follows them by a watch of its own."""
        for name in session_ids:
            eventually(
                lambda name=name: self.session(name)["status"] == "connected", timeout, f"{name} connected in REST"
            )

    def qr(self, session_id: str) -> str | None:
        """The text of the QR code, when one is shown."""
        return self.call("GET", f"/sessions/{session_id}/qr")["qrString"]

    def send(self, session_id: str, to: str, text: str, key: str | None = None) -> dict[str, Any]:
        """Send a text; `status` tells whether it is out (`sent`) or accepted (`pending`)."""
        headers = {"Idempotency-Key": key} if key else None
        self._log_in_when_needed()
        return self._ask("POST", f"/sessions/{session_id}/send", {"to": to, "text": text}, headers=headers)

    def message(self, session_id: str, message_id: str) -> dict[str, Any]:
        """One message."""
        return self.call("GET", f"/sessions/{session_id}/messages/{message_id}")

    def messages(self, session_id: str, **query: Any) -> list[dict[str, Any]]:
        """Messages, newest first."""
        return self.call("GET", f"/sessions/{session_id}/messages", **{"limit": 200, **query})["items"]

    def all_messages(self, session_id: str, **query: Any) -> list[dict[str, Any]]:
        """Every message that fits, newest first, page by page."""
        messages: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.call("GET", f"/sessions/{session_id}/messages", **{"limit": 200, **query, **cursor})
            messages += page["items"]
            if page["nextCursor"] is None:
                return messages
            cursor = {"cursor": page["nextCursor"]}

    def received(self, session_id: str) -> list[str]:
        """Texts received, oldest first."""
        messages = reversed(self.all_messages(session_id, direction="in"))
        return [message["text"] for message in messages if message["text"] is not None]

    def _log_in_when_needed(self) -> None:
        if time.monotonic() > self._expires:
            body = {"email": self._email, "password": self._password}
            self._take(self._ask("POST", "/auth/login", body, authorised=False))

    def _take(self, login: dict[str, Any]) -> None:
        self.user = login["user"]
        self._http.headers["authorization"] = f"Bearer {login['token']}"
        self._expires = time.monotonic() + login["expiresIn"] * 0.8

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        authorised: bool = True,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Any:
        own = {} if authorised else {"authorization": ""}
        params = {name: value for name, value in query.items() if value is not None}
        try:
            answer = self._http.request(method, path, json=body, params=params, headers={**own, **(headers or {})})
            content = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise CallFailed(f"{method} {path}: {error!r}") from error
        if not content.get("success"):
            error = content.get("error", {})
            raise CallRefused(answer.status_code, error.get("code", "?"), error.get("message", ""))
        return content["data"]
