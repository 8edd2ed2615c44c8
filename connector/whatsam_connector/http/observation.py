"""What is seen of every call to the connector's HTTP API: how long it took, by route. Outermost ASGI middleware."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Observe = Callable[[str, int, float], None]
"""Told route, status and seconds of each call."""


class Observation:
    """Measures calls; routes are the patterns of the API, so their number is bounded."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on and watch the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self._observe(route, status, time.perf_counter() - started)
