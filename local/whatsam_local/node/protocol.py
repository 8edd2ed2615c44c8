"""What the node and the runtime say to each other: JSON lines on a unix socket in the state directory.

A request is `{"n": 1, "op": "start", "args": {...}}`, its answer `{"n": 1, ...}` or `{"n": 1, "error": "..."}`. The
runtime sends `{"event": "exit", "id": ..., "exit": {...}}` on its own when a container has ended.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

SOCKET_NAME = "runtime.sock"
LINE_LIMIT = 1 << 24
"""Bytes of the longest line; environments with certificates in them are big."""


class VolumeMount(TypedDict):
    """A path of the machine that a container sees at `destination`."""

    source: str
    sub_path: str
    destination: str
    read_only: bool
    directory: bool


class Limits(TypedDict, total=False):
    """Limits of a container: memory in bytes, cpu in thousandths of a core."""

    memory: int
    cpu: int


class ContainerSpec(TypedDict):
    """All that is needed to start a container."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    log: str
    sandbox: str | None
    hostname: str
    mounts: list[VolumeMount]
    read_only_root: bool
    limits: Limits


class Labels(TypedDict):
    """Whose container it is."""

    uid: str
    namespace: str
    pod: str
    container: str
    attempt: int


class ExitRecord(TypedDict):
    """How a container ended."""

    code: int
    signal: int
    at: float
    oom_killed: bool


class ContainerRecord(TypedDict):
    """What the runtime knows about a container; `exit` is None while it runs."""

    pid: int
    labels: Labels
    env: dict[str, str]
    started: float
    exit: ExitRecord | None


class SandboxRecord(TypedDict):
    """A pod's network namespace."""

    namespace: str
    pod: str
    address: str
    link: str


@contextmanager
def socket_path(state: Path) -> Generator[str]:
    """The runtime's socket by a short name: a unix socket's path may have 107 bytes, a state directory more."""
    descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)
