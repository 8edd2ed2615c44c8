"""A base opens exactly as it was sealed, or not at all."""

import hashlib
import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.state.envelope import BaseHeader, fingerprint, read_header, seal, unseal
from whatsam_connector.state.errors import BaseDamaged, StateTooNew
from whatsam_core.sessions_state import base_key

KEY = b"k" * 32
PLACE = base_key("inst/auth/ns/name/", 3, "bootaaaaaa", 7)


def header(database: bytes, **more: object) -> BaseHeader:
    values: dict[str, object] = {
        "tenant": "t-one",
        "session": "ns/name",
        "uid": "u",
        "jid": "4915@s.whatsapp.net",
        "epoch": 3,
        "boot": "bootaaaaaa",
        "seq": 7,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "engine": "neonize-0.5.2",
        "schema_version": 15,
        "schema_compat": 8,
        "sha256": hashlib.sha256(database).hexdigest(),
        "size": len(database),
        "data_key": fingerprint(KEY),
    }
    return BaseHeader.model_validate(values | more)


def sealed(database: bytes, **more: object) -> bytes:
    return seal(PLACE, header(database, **more), database, KEY, b"n" * 12)


@given(database=st.binary(max_size=5000))
def test_what_was_sealed_comes_back(database: bytes) -> None:
    assert unseal(PLACE, sealed(database), KEY) == (header(database), database)
    assert read_header(PLACE, sealed(database)) == header(database)


@given(data=st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject) -> None:
    whole = bytearray(sealed(b"database" * 20))
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[at // 8] ^= 1 << (at % 8)
    with pytest.raises(BaseDamaged):
        unseal(PLACE, bytes(whole), KEY)


@given(length=st.integers(0, 10_000))
def test_a_base_that_is_cut_off_is_refused(length: int) -> None:
    whole = sealed(os.urandom(300))
    if length < len(whole):
        with pytest.raises(BaseDamaged):
            unseal(PLACE, whole[:length], KEY)


@given(more=st.binary(min_size=1, max_size=50))
def test_a_base_that_grew_is_refused(more: bytes) -> None:
    with pytest.raises(BaseDamaged):
        unseal(PLACE, sealed(b"x") + more, KEY)


@pytest.mark.parametrize(
    "place",
    [
        base_key("inst/auth/ns/other/", 3, "bootaaaaaa", 7),
        base_key("inst/auth/ns/name/", 4, "bootaaaaaa", 7),
        base_key("inst/auth/ns/name/", 3, "bootbbbbbb", 7),
        base_key("inst/auth/ns/name/", 3, "bootaaaaaa", 8),
        "inst/auth/ns/name/key",
    ],
)
def test_a_base_that_was_moved_is_refused(place: str) -> None:
    with pytest.raises(BaseDamaged):
        unseal(place, sealed(b"x"), KEY)


def test_another_key_is_named_as_the_reason() -> None:
    with pytest.raises(BaseDamaged, match="another data key"):
        unseal(PLACE, sealed(b"x"), b"o" * 32)


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"size": 3}, {"size": 5000}])
def test_a_header_that_lies_about_the_database_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BaseDamaged):
        unseal(PLACE, sealed(b"database" * 20, **wrong), KEY)


def test_what_a_newer_connector_stored_is_not_taken_for_damage() -> None:
    newer = bytearray(sealed(b"x" * 100))
    newer[8] = 2
    newer[-20:] = b"?" * 20  # nobody here knows how it is sealed
    with pytest.raises(StateTooNew, match="form 2 by a newer connector"):
        unseal(PLACE, bytes(newer), KEY)
    with pytest.raises(StateTooNew):
        read_header(PLACE, bytes(newer))
