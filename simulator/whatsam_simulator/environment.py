"""Sends a client process to the simulator, by its environment alone. Used by tests and the local cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Reachable(Protocol):
    """What is needed of `ServerInfo`."""

    @property
    def proxy_url(self) -> str: ...
    @property
    def ca_file(self) -> str: ...
    @property
    def root_key(self) -> str: ...


def hook_directory() -> Path:
    """The folder whose `sitecustomize.py` makes neonize trust the simulator."""
    return Path(__file__).resolve().parent / "hook"


def hook_environment(info: Reachable, *, ca_file: str | None = None, python_path: str = "") -> dict[str, str]:
    """The variables an engine process needs, complete: they must be there when the process starts.

    `ca_file`: where the CA's file is seen from that process, if elsewhere. `python_path`: the PYTHONPATH it had.
    """
    paths = [str(hook_directory()), *([python_path] if python_path else [])]
    return {
        "PYTHONPATH": ":".join(paths),
        "WHATSAM_SIMULATOR_ROOT": info.root_key,
        "HTTPS_PROXY": info.proxy_url,
        "SSL_CERT_FILE": ca_file or info.ca_file,
    }
