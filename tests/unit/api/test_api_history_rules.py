"""Laws of the history: ids that tell their time, stretches that cover the past, files that no browser runs."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_api.errors import InvalidField
from whatsam_api.policies.downloads import content_type, disposition, span_of
from whatsam_api.policies.history import Place, chat_address, cursor_of, place_of, stretches
from whatsam_core.message_ids import EARLIEST, LATEST, at_of, derived_message_id, message_at, new_message_id

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
STORED = st.datetimes(datetime(2009, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS)
def test_an_id_tells_where_its_row_is_filed(moment: datetime) -> None:
    made = [new_message_id(moment), derived_message_id(moment, "session", "event")]
    assert {at_of(one) for one in made} == {message_at(moment)}
    assert EARLIEST <= message_at(moment) <= LATEST
    assert [one.version for one in made] == [7, 8]


def test_derived_ids_are_the_same_each_time_and_differ_by_every_name() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    names = [("a", "b"), ("ab",), ("a", "b", ""), ("b", "a"), ("a",)]
    assert len({derived_message_id(now, *one) for one in names}) == len(names)
    assert derived_message_id(now, "a", "b") == derived_message_id(now, "a", "b")
    assert new_message_id(now) != new_message_id(now)


def test_ids_of_the_first_schema_tell_no_time() -> None:
    assert at_of(uuid4()) is None
    assert at_of(UUID("886313e1-3b8a-5372-9b90-0c9aee199e5d")) is None


@given(
    STORED, st.none() | STORED, st.none() | STORED, st.none() | STORED, STORED, st.booleans()
)  # now, since, until, before, a row's time, with a short one in front
def test_stretches_cover_what_is_wanted_once_newest_first(
    now: datetime, since: datetime | None, until: datetime | None, before: datetime | None, row: datetime, short: bool
) -> None:
    found = list(stretches(now, since, until, before, short=short))
    row = row.replace(microsecond=0)
    wanted = (since is None or row >= since) and (until is None or row < until) and (before is None or row <= before)
    hits = [one for one in found if one[0] <= row < one[1]]
    if wanted:
        assert len(hits) == 1
    assert all(later[0] == earlier[1] for later, earlier in pairwise(found))
    assert len(found) < 20


@given(STORED, st.integers(0, 10**17))
def test_a_cursor_is_read_as_it_was_written(at: datetime, seq: int) -> None:
    at = at.replace(microsecond=0)
    assert place_of(cursor_of(at, seq)) == Place(at, seq)


@pytest.mark.parametrize("wrong", ["", "1", "1-", "-1", "1-2-3", "x-1", "1" * 40 + "-1"])
def test_other_cursors_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidField):
        place_of(wrong)


def test_any_chat_can_be_named() -> None:
    assert chat_address(" +49 151 1000002 ") == "491511000002@s.whatsapp.net"
    for address in ("55@lid", "120363@g.us", "1@newsletter", "status@broadcast"):
        assert chat_address(address) == address
    for wrong in ("x", "a b@g.us", "@g.us", "1@", "1@G.US"):
        with pytest.raises(InvalidField):
            chat_address(wrong)


@pytest.mark.parametrize(
    ("mimetype", "shown"),
    [
        ("image/jpeg", "inline"), ("video/mp4", "inline"), ("audio/ogg; codecs=opus", "inline"),
        ("image/svg+xml", "attachment"), ("IMAGE/SVG+XML", "attachment"), ("text/html", "attachment"),
        ("application/pdf", "attachment"), ("image/x\r\nX-Evil: 1", "attachment"), ("", "attachment"),
        (None, "attachment"),
    ],
)  # fmt: skip
def test_only_pictures_sound_and_films_are_shown(mimetype: str | None, shown: str) -> None:
    header = disposition(mimetype, 'na"me\r\n.jpg', "fallback")
    assert header.startswith(f"{shown}; ")
    assert not set(header) & {"\r", "\n"}
    assert header.isascii()
    assert "\n" not in content_type(mimetype)


@given(st.text(max_size=50))
def test_any_name_makes_a_header(name: str) -> None:
    header = disposition("image/png", name, "fallback")
    assert header.isascii()
    assert header.count('"') == 2


@given(st.integers(1, 10_000), st.integers(0, 12_000), st.integers(0, 12_000))
def test_a_part_lies_in_the_file(size: int, first: int, last: int) -> None:
    try:
        span = span_of(f"bytes={first}-{last}", size)
    except ValueError:
        assert first >= size or first > last
        return
    assert span is not None
    assert 0 <= span.first == first <= span.last < size
    assert span.length == min(last, size - 1) - first + 1


def test_forms_of_ranges() -> None:
    assert span_of(None, 10) is None
    assert span_of("bytes=0-1,4-5", 10) is None
    assert span_of("lines=1-2", 10) is None
    tail = span_of("bytes=-4", 10)
    assert tail is not None
    assert (tail.first, tail.last) == (6, 9)
    open_end = span_of("bytes=7-", 10)
    assert open_end is not None
    assert (open_end.first, open_end.last) == (7, 9)
    for wrong in ("bytes=10-", "bytes=-0"):
        with pytest.raises(ValueError, match="part"):
            span_of(wrong, 10)


def test_the_first_stretch_is_a_month_of_late() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert next(stretches(now, None, None, None))[0] == now - timedelta(days=31)
    short, month, *_ = stretches(now, None, None, None, short=True)
    assert (short[0], month) == (now - timedelta(days=2), (now - timedelta(days=33), short[0]))
