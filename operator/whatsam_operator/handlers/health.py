"""/live, /ready and /metrics over HTTP, in a thread of its own: an event loop that hangs cannot say that it lives."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from whatsam_core.metrics import CONTENT_TYPE

Probe = Callable[[], tuple[bool, dict[str, Any]]]
"""Whether the answer is yes, and details for people."""


class HealthServer:
    """Serves from `start` to `stop`. The probes are called in other threads: they only read."""

    def __init__(self, port: int, *, live: Probe, ready: Probe, metrics: Callable[[], bytes], host: str = "") -> None:
        routes: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/live": lambda: _probe(live),
            "/ready": lambda: _probe(ready),
            "/metrics": lambda: (200, CONTENT_TYPE, metrics()),
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                route = routes.get(self.path.split("?", 1)[0])
                status, kind, body = route() if route is not None else (404, "text/plain", b"not found\n")
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Probes come every few seconds: nobody wants to read that."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port in use; of interest when 0 was asked for."""
        return self._server.server_address[1]

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _probe(probe: Probe) -> tuple[int, str, bytes]:
    good, details = probe()
    return (200 if good else 503), "application/json", json.dumps(details).encode() + b"\n"
