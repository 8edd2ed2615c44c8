"""The key ring: bad settings are refused by name, rotation keeps old data keys readable."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.state import KeyRing, KeyRingInvalid, data_keys
from whatsam_connector.state.errors import DataKeyUnusable, StateTooNew
from whatsam_core.sessions_state import WrappedKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = base64.b64encode(b"a" * 32).decode()


def wrap(ring: KeyRing, data_key: bytes, prefix: str = "p/") -> WrappedKey:
    return ring.wrap(data_key, prefix=prefix, tenant="t", nonce=b"n" * 12, created_at=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        json.dumps({"current": "k1"}),
        json.dumps({"current": "k1", "keys": {}}),
        json.dumps({"current": "k2", "keys": {"k1": GOOD}}),
        json.dumps({"current": "k1", "keys": {"k1": "short"}}),
        json.dumps({"current": "k1", "keys": {"k1": base64.b64encode(b"a" * 16).decode()}}),
        json.dumps({"current": "k1", "keys": {"k1": 5}}),
        json.dumps({"current": "", "keys": {"": GOOD}}),
        json.dumps({"current": 1, "keys": {"k1": GOOD}}),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_without_its_keys(text: str) -> None:
    with pytest.raises(KeyRingInvalid, match="WHATSAM_KEYRING") as refusal:
        KeyRing.parse(text)
    assert GOOD not in str(refusal.value)


@given(data_key=st.binary(min_size=32, max_size=32))
def test_a_rotated_ring_opens_what_the_old_one_wrapped(data_key: bytes) -> None:
    old = KeyRing.parse(json.dumps({"current": "k1", "keys": {"k1": GOOD}}))
    new_key = base64.b64encode(b"b" * 32).decode()
    rotated = KeyRing.parse(json.dumps({"current": "k2", "keys": {"k1": GOOD, "k2": new_key}}))
    assert rotated.unwrap(wrap(old, data_key), prefix="p/") == data_key
    assert wrap(rotated, data_key).key_id == "k2"
    only_new = KeyRing.parse(json.dumps({"current": "k2", "keys": {"k2": new_key}}))
    with pytest.raises(DataKeyUnusable, match="does not have"):
        only_new.unwrap(wrap(old, data_key), prefix="p/")


def test_a_data_key_of_another_session_or_tenant_does_not_open() -> None:
    ring = KeyRing("k1", {"k1": b"a" * 32})
    record = wrap(ring, b"d" * 32)
    with pytest.raises(DataKeyUnusable):
        ring.unwrap(record, prefix="other/")
    with pytest.raises(DataKeyUnusable):
        ring.unwrap(record.model_copy(update={"tenant": "x"}), prefix="p/")
    with pytest.raises(DataKeyUnusable):
        ring.unwrap(record.model_copy(update={"wrapped": "AAAA"}), prefix="p/")


def test_keys_do_not_show_up_in_a_log() -> None:
    assert "aaaa" not in repr(KeyRing("k1", {"k1": b"a" * 32}))


def test_a_record_of_a_newer_form_is_refused_as_such_and_one_without_a_form_is_read() -> None:
    old = {"keyId": "k1", "wrapped": "AAAA", "tenant": "t", "createdAt": "2026-01-01T00:00:00Z"}
    assert data_keys.decoded(json.dumps(old).encode()).key_id == "k1"
    with pytest.raises(StateTooNew, match="form 2 by a newer Whatsam"):
        data_keys.decoded(b'{"version": 2, "somethingElse": true}')
    with pytest.raises(DataKeyUnusable, match="not readable"):
        data_keys.decoded(b'{"version": "x"}')


def test_a_data_key_is_recognised_without_the_ring_whatever_wraps_it() -> None:
    ring, other = KeyRing("k1", {"k1": b"a" * 32}), KeyRing("k2", {"k2": b"b" * 32})
    own = data_keys.encoded(wrap(ring, b"d" * 32))
    for one in (ring, other):
        assert data_keys.names(data_keys.encoded(wrap(one, b"d" * 32)), b"d" * 32, own)
    assert not data_keys.names(data_keys.encoded(wrap(ring, b"e" * 32)), b"d" * 32, own)
    assert not data_keys.names(b"rubbish", b"d" * 32, own)
    without = wrap(ring, b"d" * 32).model_copy(update={"data_key": ""})
    assert not data_keys.names(data_keys.encoded(without), b"d" * 32, own)


def test_a_record_from_before_there_were_fingerprints_is_recognised_as_it_was_read() -> None:
    ring = KeyRing("k1", {"k1": b"a" * 32})
    record = json.loads(data_keys.encoded(wrap(ring, b"d" * 32)))
    old = json.dumps({name: value for name, value in record.items() if name not in {"dataKey", "version"}}).encode()
    read = data_keys.encoded(data_keys.decoded(old))
    assert data_keys.names(old, b"d" * 32, read)
    assert not data_keys.names(old, b"d" * 32, data_keys.encoded(wrap(ring, b"d" * 32)))
