"""What is seen of every call: its id, its metrics, its trace. ASGI middleware, outermost of the application's own."""

import time
from http import HTTPStatus
from uuid import uuid4

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whatsam_core import tracing

REQUESTS = Counter("whatsam_api_requests_total", "Calls answered.", ("method", "route", "status"))
DURATION = Histogram("whatsam_api_request_seconds", "Time to answer a call.", ("method", "route"))

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
"""Values of the label `method`: a caller may send any word, and each would be a time series."""


class Observation:
    """Gives each call an id (`request.state.request_id`), counts it and puts a span around it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on and watch the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "other"
        with tracing.span(f"http {method}", parent=Headers(scope=scope).get("traceparent")):
            await self._watch(method, scope, receive, send)

    async def _watch(self, method: str, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                # Answers carry tokens, keys, QR codes and messages; the few that do not are cheap to ask for again.
                headers["Cache-Control"] = "no-store"
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            tracing.annotate({"http.route": route, "http.response.status_code": status})
            REQUESTS.labels(method, route, str(status)).inc()
            DURATION.labels(method, route).observe(time.perf_counter() - started)
