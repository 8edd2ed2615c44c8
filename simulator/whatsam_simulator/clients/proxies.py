"""Proxies for tests of clients that dial through one."""

from __future__ import annotations

from pydantic import TypeAdapter

from whatsam_simulator.clients.connection import ControlConnection
from whatsam_simulator.control.models import Count, ProxyView


class ProxyMethods(ControlConnection):
    """Each proxy leads to the simulator and nowhere else; it is known by its port."""

    def add_proxy(
        self, kind: str = "http", user: str = "", password: str = "", *, port: int = 0, silent: bool = False
    ) -> ProxyView:
        """`kind`: http or socks5; `url` of the answer is what a client needs. `silent`: never answers."""
        body = {"kind": kind, "user": user, "password": password, "port": port, "silent": silent}
        return self._post(ProxyView, "/proxies", body)

    def proxy(self, port: int) -> ProxyView:
        """With its counts."""
        return self._get(ProxyView, f"/proxies/{port}")

    def proxies(self) -> list[ProxyView]:
        return TypeAdapter(list[ProxyView]).validate_json(self._ask("GET", "/proxies").content)

    def cut_proxy(self, port: int) -> int:
        """Ends all connections through it; tells how many sockets that were."""
        return self._post(Count, f"/proxies/{port}/cut").count

    def remove_proxy(self, port: int) -> None:
        """From now on the proxy is dead."""
        self._ask("DELETE", f"/proxies/{port}")
