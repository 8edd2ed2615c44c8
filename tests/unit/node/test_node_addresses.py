"""Addresses are unique, belong to the pods' network, and come back late."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_local.node.address_book import AddressBook
from whatsam_local.node.addresses import address_at, capacity, next_address
from whatsam_local.node.errors import ConfigError


@pytest.mark.parametrize(
    ("network", "index", "address"),
    [
        ("10.88", 0, "10.88.1.2"),
        ("10.88", 249, "10.88.1.251"),
        ("10.88", 250, "10.88.2.2"),
        ("10.88", 62499, "10.88.250.251"),
        ("10.88.200", 0, "10.88.200.2"),
        ("10.88.200", 250, "10.88.200.2"),
    ],
)
def test_addresses_by_index(network: str, index: int, address: str) -> None:
    assert address_at(network, index) == address


@pytest.mark.parametrize("network", ["10.88", "10.88.200"])
def test_no_address_comes_twice_in_a_round(network: str) -> None:
    assert len({address_at(network, index) for index in range(capacity(network))}) == capacity(network)


@given(st.lists(st.booleans(), max_size=300), st.integers(0, 249))
def test_an_address_comes_back_only_after_all_others(starts: list[bool], cursor: int) -> None:
    """`True` starts a pod, `False` ends the oldest one."""
    used: list[str] = []
    history: list[str] = []
    for start in starts:
        if start:
            allocation = next_address("10.88.200", cursor, used)
            cursor = allocation.cursor
            assert allocation.address not in used
            assert allocation.address not in history[-(capacity("10.88.200") - len(used) - 1) :]
            used.append(allocation.address)
            history.append(allocation.address)
        elif used:
            used.pop(0)


def test_a_full_network_is_told() -> None:
    used = {address_at("10.88.200", index) for index in range(250)}
    with pytest.raises(ConfigError, match="all 250 addresses"):
        next_address("10.88.200", 0, used)


def test_the_cursor_outlives_the_node(tmp_path: Path) -> None:
    first = AddressBook("10.88", tmp_path / "cursor", {})
    old = first.take("a")
    assert first.take("a") == old
    first.release("a")
    second = AddressBook("10.88", tmp_path / "cursor", {"kept": "10.88.1.3"})
    assert second.take("b") not in (old, "10.88.1.3")
    assert second.known("kept") == "10.88.1.3"
    assert second.known("a") is None


def test_a_broken_cursor_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text("?")
    assert AddressBook("10.88", tmp_path / "cursor", {}).take("a") == "10.88.1.2"
