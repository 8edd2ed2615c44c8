"""Sends a client process to the simulator, by its environment alone. Used by tests and the local cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


class Reachable(Protocol):
    """What a client must know; `control.models.ServerInfo` is one."""

    @property
    def proxy_url(self) -> str: ...
    @property
    def ca_file(self) -> str: ...
    @property
    def root_key(self) -> str: ...


@dataclass(frozen=True)
class Address:
    """A simulator that may not run yet."""

    proxy_url: str
    ca_file: str
    root_key: str


def address_of(state: Path, proxy_url: str) -> Address:
    """What clients of the simulator with this state directory must know. Its keys and its CA are made if they are
    missing, so this may be asked before the simulator's first start."""
    from whatsam_simulator.server.tls import prepare
    from whatsam_simulator.world.storage import ROOT_KEY, stored_key

    authority, _ = prepare(state, datetime.now(UTC))
    return Address(proxy_url, str(authority.resolve()), stored_key(state / ROOT_KEY).public.hex())


def hook_directory() -> Path:
    """The folder whose `sitecustomize.py` makes neonize trust the simulator."""
    return Path(__file__).resolve().parent / "hook"


def hook_environment(
    simulator: Reachable | Path, proxy_url: str = "", *, ca_file: str | None = None, python_path: str = ""
) -> dict[str, str]:
    """The variables an engine process needs, complete: they must be there when the process starts.

    `simulator`: what `GET /info` tells, or the state directory of a simulator that may not run yet; then `proxy_url`
    says where its proxy will listen. `ca_file`: where that process sees the CA's file, if elsewhere. `python_path`: the
    PYTHONPATH it had.
    """
    at = address_of(simulator, proxy_url) if isinstance(simulator, Path) else simulator
    paths = [str(hook_directory()), *([python_path] if python_path else [])]
    return {
        "PYTHONPATH": ":".join(paths),
        "WHATSAM_SIMULATOR_ROOT": at.root_key,
        "HTTPS_PROXY": at.proxy_url,
        "SSL_CERT_FILE": ca_file or at.ca_file,
    }
