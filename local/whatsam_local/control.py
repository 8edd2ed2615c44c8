"""The caller's side of the supervisor's control socket. Used by `up`, `status`, `part`, `exec` and by tests."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from whatsam_local.errors import ClusterNotRunningError, LocalError, UnknownPartError
from whatsam_local.layout import Layout

_NOT_RUNNING = "no cluster of this checkout runs: `make up` starts one"


class Control:
    """Speaks to the supervisor of one checkout. One connection per request."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def status(self, timeout: float = 5.0) -> dict[str, Any]:
        """The run's id and all parts. Raises ClusterNotRunningError."""
        return self._ask({"do": "status"}, timeout)

    def part(self, verb: str, name: str, timeout: float = 120.0) -> dict[str, Any]:
        """start, stop, kill, freeze or thaw one part; returns it afterwards. Raises UnknownPartError."""
        answer = self._ask({"do": verb, "part": name}, timeout)
        if "unknown" in answer:
            raise UnknownPartError(f"no part {name!r}; there are {', '.join(answer['unknown'])}")
        return answer["part"]

    def execute(
        self, argv: Sequence[str], env: Mapping[str, str], directory: str, streams: tuple[int, int, int] = (0, 1, 2)
    ) -> int:
        """Run a command in the cluster's namespaces on the caller's streams; returns its exit code."""
        request = {"do": "exec", "argv": list(argv), "env": dict(env), "directory": directory}
        return int(self._ask(request, None, streams)["code"])

    def _ask(self, request: dict[str, Any], timeout: float | None, streams: Sequence[int] = ()) -> dict[str, Any]:
        with self._connect(timeout) as connection:
            try:
                data = json.dumps(request).encode() + b"\n"
                sent = socket.send_fds(connection, [data], list(streams)) if streams else 0
                connection.sendall(data[sent:])
                with connection.makefile("rb") as reader:
                    line = reader.readline()
            except TimeoutError:
                raise LocalError(f"the supervisor did not answer within {timeout:g} s") from None
            except OSError as error:
                raise ClusterNotRunningError(_NOT_RUNNING) from error
        if not line:
            raise ClusterNotRunningError(_NOT_RUNNING)
        answer = json.loads(line)
        if "error" in answer:
            raise LocalError(answer["error"])
        return answer

    def _connect(self, timeout: float | None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            directory = os.open(self._layout.run, os.O_PATH | os.O_DIRECTORY)
            try:
                # Through the descriptor, because a socket's path may have 107 bytes only.
                connection.connect(f"/proc/self/fd/{directory}/{self._layout.control_socket_name}")
            finally:
                os.close(directory)
        except OSError as error:
            connection.close()
            raise ClusterNotRunningError(_NOT_RUNNING) from error
        return connection
