"""What is deleted from the store, and what never is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.shipper.retention import KEEP_OWN, PROVEN_AFTER, expired, mark, marks_of, superseded
from whatsam_connector.state.shipping import without_keys
from whatsam_core.sessions_state import BaseRef, base_key, bases_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ref(epoch: int, seq: int, boot: str = "me") -> BaseRef:
    return BaseRef(epoch, seq, boot, base_key("p/", epoch, boot, seq))


refs = st.builds(ref, st.integers(1, 6), st.integers(1, 12), st.sampled_from(["me", "other"]))


@given(known=st.sets(refs), stored=st.integers(0, 20), epoch=st.integers(1, 6))
def test_what_a_restore_could_need_is_never_deleted(known: set[BaseRef], stored: int, epoch: int) -> None:
    gone = set(superseded(known, [], epoch=epoch, boot="me", stored=stored, now=NOW))
    assert gone <= known
    if known:
        assert max(known) not in gone
    own = sorted((r for r in known if (r.epoch, r.boot) == (epoch, "me")), reverse=True)
    assert not gone & set(own[:KEEP_OWN])
    earlier = [r for r in known if r.epoch < epoch]
    if earlier:
        assert max(earlier) not in gone
    if not own or any(r.epoch > epoch for r in known):
        assert not gone
    if stored < PROVEN_AFTER:
        assert all(r.epoch in (epoch, max(e.epoch for e in earlier) if earlier else epoch) for r in gone)


@given(known=st.sets(refs, min_size=1), held=st.data())
def test_a_held_base_stays_until_its_time(known: set[BaseRef], held: st.DataObject) -> None:
    one = held.draw(st.sampled_from(sorted(known)))
    standing = mark("p/", one, NOW + timedelta(days=7))
    assert one not in superseded(known, [standing], epoch=6, boot="me", stored=99, now=NOW)
    later = NOW + timedelta(days=8)
    assert superseded(known, [standing], epoch=6, boot="me", stored=99, now=later) == superseded(
        known, [], epoch=6, boot="me", stored=99, now=later
    )
    assert expired([standing], NOW) == []
    assert expired([standing], later) == [standing]


def test_a_mark_is_found_again_in_a_listing_and_is_no_base() -> None:
    one = mark("i/auth/ns/n/", ref(3, 4), NOW)
    listing = [one.key, "i/auth/ns/n/key", ref(3, 4).key]
    assert marks_of(listing) == [one]
    assert one.covers(ref(3, 4))
    assert not one.covers(ref(3, 5))
    assert [base.seq for base in bases_of(listing)] == [4]


def test_old_epochs_go_once_the_present_one_has_proven_itself() -> None:
    known = [ref(5, 1), ref(5, 2), ref(5, 3), ref(4, 8), ref(4, 7), ref(2, 1)]
    early = superseded(known, [], epoch=5, boot="me", stored=PROVEN_AFTER - 1, now=NOW)
    assert sorted(early) == [ref(4, 7), ref(5, 1)]
    late = superseded(known, [], epoch=5, boot="me", stored=PROVEN_AFTER, now=NOW)
    assert sorted(late) == [ref(2, 1), ref(4, 7), ref(5, 1)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("put i/auth/ns/s/e1-b/base-7: no answer in time", "put the state: no answer in time"),
        (
            "put i/wal/b/0007: MaxRetryError: HTTPConnectionPool(host='s3', port=8333): Max retries exceeded with url: "
            "/bucket/i/wal/b/0007 (Caused by X)",
            "put the state: MaxRetryError: HTTPConnectionPool(host='s3', port=8333): Max retries exceeded with url: "
            "the state (Caused by X)",
        ),
        ("the store holds another data key", "the store holds another data key"),
    ],
)
def test_a_reason_that_is_told_does_not_change_with_each_attempt(text: str, told: str) -> None:
    assert without_keys(text) == told
