"""uvicorn inside the connector's own event loop; signals stay the connector's."""

import contextlib
import socket
from collections.abc import Generator

from fastapi import FastAPI
from uvicorn.config import Config
from uvicorn.server import Server


class HttpServer(Server):
    """Serves one application on a socket that was bound before."""

    def __init__(self, app: FastAPI, listening: socket.socket) -> None:
        super().__init__(
            Config(app, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=30, proxy_headers=False)
        )
        self._listening = listening

    async def run_until_stopped(self) -> None:
        """Serve until `stop`."""
        await self.serve(sockets=[self._listening])

    def stop(self) -> None:
        """Finish the requests under way and end."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave SIGTERM to `main`, which hands the sessions over first."""
        yield


def bind(port: int) -> socket.socket:
    """A listening socket on all addresses of the pod; port 0 takes a free one. Raises `OSError`."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("0.0.0.0", port))
    listening.listen(128)
    listening.setblocking(False)
    return listening
