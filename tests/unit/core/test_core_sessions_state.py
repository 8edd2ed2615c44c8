"""Keys in the object store: what is written is found again, and a higher epoch always wins."""

from hypothesis import given
from hypothesis import strategies as st

from whatsam_core.sessions_state import BaseRef, base_key, bases_of, key_object, newest, parse_base_key, session_prefix

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
numbers = st.integers(0, 9_999_999_999)
boots = st.from_regex(r"[a-z2-7]{10}", fullmatch=True)


@given(names, names, names, numbers, boots, numbers)
def test_a_key_tells_what_it_is(installation: str, namespace: str, name: str, epoch: int, boot: str, seq: int) -> None:
    key = base_key(session_prefix(installation, namespace, name), epoch, boot, seq)
    assert parse_base_key(key) == BaseRef(epoch=epoch, seq=seq, boot=boot, key=key)


@given(st.lists(st.tuples(numbers, numbers, boots), min_size=1))
def test_the_newest_has_the_highest_epoch_then_the_highest_number(written: list[tuple[int, int, str]]) -> None:
    prefix = session_prefix("i", "n", "s")
    keys = [base_key(prefix, epoch, boot, seq) for epoch, seq, boot in written]
    found = newest(bases_of([*keys, key_object(prefix), f"{prefix}e1/else"]))
    assert found is not None
    assert (found.epoch, found.seq) == max((epoch, seq) for epoch, seq, _ in written)


@given(st.text())
def test_other_keys_are_no_bases(key: str) -> None:
    assert parse_base_key(key) is None or "/base-" in key
