"""Every kind of record comes back as it was; older versions' are read, additions of newer ones are passed over."""

import dataclasses
import json
import typing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whatsam_connector.engine.wire import encode
from whatsam_connector.journal import InboundHistory, InboundMessage, JournalRecord, Reader, UnknownRecord
from whatsam_connector.journal.layout import pack, segment_path
from whatsam_connector.journal.payload import from_payload, to_payload

KINDS = typing.get_args(JournalRecord)
for_any_text = st.text(max_size=8)
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))
st.register_type_strategy(str, for_any_text)

MESSAGE = InboundMessage(
    event_id="e1",
    wa_id="3EB0",
    chat="1@lid",
    chat_phone=None,
    sender="1@lid",
    sender_phone=None,
    from_me=False,
    text="Grüße \ud83d",
    type="text",
    timestamp=datetime(2026, 1, 2, tzinfo=UTC),
    push_name="",
    group=False,
    raw=bytes(range(256)),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_kind_of_record_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    record = data.draw(st.from_type(kind))
    assert from_payload(to_payload(record)) == record


@given(data=st.data(), cut=st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_a_payload_that_is_cut_is_unknown_or_shorter_at_its_end(data: st.DataObject, cut: int) -> None:
    """The journal's checksum keeps such payloads away; the decoder must not raise all the same."""
    record = data.draw(st.from_type(typing.cast("type[JournalRecord]", data.draw(st.sampled_from(KINDS)))))
    cut_record = from_payload(to_payload(record)[:cut])
    assert isinstance(cut_record, UnknownRecord | type(record))


@given(st.binary(max_size=300))
def test_no_bytes_raise(payload: bytes) -> None:
    assert isinstance(from_payload(payload), UnknownRecord)


def test_what_the_first_release_wrote_is_read(tmp_path: Path) -> None:
    """JSON alone, bytes as base64, and none of the fields that came later."""
    fields = json.loads(encode(MESSAGE))
    for field in dataclasses.fields(InboundMessage):
        if field.default is not dataclasses.MISSING:
            del fields[field.name]
    payload = json.dumps(fields).encode()
    segment_path(tmp_path, 1).write_bytes(b"WSJRNL\x00\x01" + pack(payload))
    assert [entry.record for entry in Reader(tmp_path)] == [MESSAGE]


def test_a_field_that_this_version_does_not_know_is_passed_over() -> None:
    payload = to_payload(MESSAGE).replace(b'{"is"', b'{"mood":"good","is"')
    grown = payload[:1] + (int.from_bytes(payload[1:5]) + len(b'"mood":"good",')).to_bytes(4) + payload[5:]
    assert from_payload(grown) == MESSAGE


def test_a_field_without_a_default_is_needed() -> None:
    fields = json.loads(encode(MESSAGE))
    del fields["chat"]
    assert isinstance(from_payload(json.dumps(fields).encode()), UnknownRecord)


def test_bytes_are_not_blown_up() -> None:
    assert len(to_payload(InboundHistory("e", 1, 1, bytes(10**6)))) < 10**6 + 200
