"""What the supervisor is to run: parts, their order, how to see that they are ready. Pure data.

`catalog.py` makes a plan, `up` writes it to `.local/run/plan.json`, the supervisor reads it. The supervisor knows
nothing of Kubernetes or databases beyond what stands here.
"""

import signal
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpProbe(_Frozen):
    """Ready when GET answers with a status below `below`."""

    kind: Literal["http"] = "http"
    host: str
    port: int
    path: str
    tls: bool = False
    below: int = 400


class TalkProbe(_Frozen):
    """Ready when a TCP connection answers `say` with a line that starts with one of `hear`; silent: when made."""

    kind: Literal["talk"] = "talk"
    host: str
    port: int
    say: str = ""
    hear: tuple[str, ...] = ()


class CommandProbe(_Frozen):
    """Ready when the command ends with 0."""

    kind: Literal["command"] = "command"
    argv: tuple[str, ...]


Probe = HttpProbe | TalkProbe | CommandProbe


class Preparation(_Frozen):
    """One command before the first start of a part, with what it reads from standard input."""

    argv: tuple[str, ...]
    stdin: str = ""


class Part(_Frozen):
    """One process of the cluster."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    after: tuple[str, ...] = ()
    """Parts that must be ready before this one starts for the first time."""
    ready: Probe | None = None
    """None: ready as soon as it runs."""
    data: str | None = None
    """Directory that `prepare` fills; emptied before it, if an earlier attempt was cut short."""
    prepare: tuple[Preparation, ...] = ()
    stale: tuple[str, ...] = ()
    """Files that a killed predecessor left and that must go before the first start under this supervisor."""
    ordinary_user: bool = False
    """Refuses to run as root: gets a user namespace in which the same user has another number."""
    outside: bool = False
    """Runs in the machine's network namespace instead of the cluster's."""
    descriptors: tuple[int, ...] = ()
    """Listening sockets the part inherits, by number."""
    inner_listener: tuple[str, int] | None = None
    """Address inside on which the supervisor listens for it; its number takes the place of `{listener}` in argv."""
    private_tmp: tuple[str, ...] | None = None
    """Gets an empty /tmp of its own, in which only these directories show; for programs that leave sockets there."""
    stop_signal: int = signal.SIGTERM
    """Asks it to end in good order; what that is, each program decides for itself."""
    freeze_descendants: bool = False
    """`freeze` stops its children too (not for the node: its descendants are pods)."""
    ready_within: float = 120.0
    """Seconds from its start after which `up` gives up on it."""


class Plan(_Frozen):
    """One run of the cluster."""

    id: str
    """Differs between any two runs."""
    checkout: str
    logs: str
    run: str
    """Directory of the control socket and the supervisor's record."""
    markers: str
    """Directory that remembers which preparations are complete."""
    network: tuple[str, ...]
    """Lines for `ip -batch` inside the new network namespace."""
    ip_program: str
    resolver: str | None
    """Address of the cluster's DNS server."""
    parts: tuple[Part, ...]
