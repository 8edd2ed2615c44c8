"""Pure: which address the next pod gets. Called by `node.py`, which remembers the cursor on disk.

Addresses are not reused at once: a client that still knows a dead pod must never reach its successor.
"""

from collections.abc import Collection
from dataclasses import dataclass

from whatsam_local.node.errors import ConfigError

_HOSTS = 250
"""Pods per last number: .2 to .251 (.1 is the node's)."""


@dataclass(frozen=True)
class Allocation:
    """An address, and the cursor to go on from."""

    address: str
    cursor: int


def address_at(pod_network: str, index: int) -> str:
    """The `index`-th address; `pod_network` is the first two or three numbers ("10.88" or "10.88.200")."""
    if pod_network.count(".") == 2:
        return f"{pod_network}.{index % _HOSTS + 2}"
    return f"{pod_network}.{index // _HOSTS % _HOSTS + 1}.{index % _HOSTS + 2}"


def capacity(pod_network: str) -> int:
    """How many different addresses there are."""
    return _HOSTS if pod_network.count(".") == 2 else _HOSTS * _HOSTS


def next_address(pod_network: str, cursor: int, used: Collection[str]) -> Allocation:
    """The first free address from the cursor on, going round. Raises `ConfigError` when all are taken."""
    total = capacity(pod_network)
    taken = set(used)
    for step in range(total):
        index = (cursor + step) % total
        if (address := address_at(pod_network, index)) not in taken:
            return Allocation(address, (index + 1) % total)
    raise ConfigError(f"all {total} addresses of {pod_network} are in use")
