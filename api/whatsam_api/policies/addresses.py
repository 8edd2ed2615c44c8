"""Which network addresses a fetch for a tenant may reach. Pure; `storage.guarded_http` asks before it connects.

Without this, a tenant's URL could read what only our own network can: cloud metadata, the Kubernetes API, databases.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_IPV4_INSIDE: Final = (
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
    (IPv6Network("::/96"), 0),  # IPv4-compatible, long out of use
)
"""IPv6 networks whose addresses stand for an IPv4 one, and how many bits follow it."""
_NEVER: Final = (
    IPv6Network("64:ff9b:1::/48"),  # NAT64 of a local network
    IPv6Network("fec0::/10"),  # site-local
    IPv6Network("2001::/32"),  # Teredo: the IPv4 address inside is scrambled, and nobody serves from there
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
)


def reachable(text: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether this address may be connected to: it is public, or the platform allows its network."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    inside = _inner(address)
    if any(_within(one, allowed) for one in (address, inside)):
        return True
    return _public(address) and _public(inside)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for; itself when it stands for none."""
    if not isinstance(address, IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    for network, shift in _IPV4_INSIDE:
        if address in network and int(address) > 1:
            return IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
    return address


def _public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return True  # what counts is the address inside
    if _within(address, _NEVER):
        return False
    if isinstance(address, IPv6Address) and any(address in network for network, _ in _IPV4_INSIDE[:2]):
        return True  # likewise
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
