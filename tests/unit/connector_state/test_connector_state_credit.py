"""Laws of the send credit: they are what makes the repair's number of steps a guarantee."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.state import CreditVerdict, SendCredit

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.floats(0.001, 1)),
        st.tuples(st.just("settle"), st.floats(0.001, 1)),
        st.tuples(st.just("inbound"), st.floats(0.001, 1)),
        st.tuples(st.just("covered"), st.floats(0, 2)),
    ),
    max_size=200,
)


@given(steps=STEPS, limit=st.integers(1, 8))
def test_never_more_than_the_limit_is_missing_in_the_store(steps: list[tuple[str, float]], limit: int) -> None:
    credit, now, serial = SendCredit(limit), 0.0, 0
    under_way: list[int] = []
    settled: list[float] = []
    covered, inbound = -1.0, -1.0
    for kind, value in steps:
        now += value if kind != "covered" else 0.0
        if kind == "send":
            verdict = credit.may_send()
            missing = len(under_way) + sum(1 for at in settled if at > covered)
            if verdict is CreditVerdict.SEND:
                assert missing < limit
                assert inbound <= covered
                serial += 1
                credit.sending(serial)
                under_way.append(serial)
            elif verdict is CreditVerdict.WAIT_FOR_INBOUND:
                assert inbound > covered
            else:
                assert missing >= limit or covered < 0
        elif kind == "settle" and under_way:
            credit.settled(under_way.pop(0), now)
            settled.append(now)
        elif kind == "inbound":
            credit.inbound(now)
            inbound = now
        elif kind == "covered":
            instant = max(0.0, now - value)
            credit.covered(instant)
            covered = max(covered, instant)


def test_nothing_leaves_before_the_first_base_of_the_epoch() -> None:
    credit = SendCredit()
    assert credit.may_send() is CreditVerdict.WAIT_FOR_REPLICA
    credit.covered(1.0)
    assert credit.may_send() is CreditVerdict.SEND


def test_a_message_in_the_engine_counts_until_it_is_settled_and_covered() -> None:
    credit = SendCredit(1)
    credit.covered(1.0)
    credit.sending("a")
    credit.covered(2.0)  # the snapshot may have been taken before the engine wrote
    assert credit.may_send() is CreditVerdict.WAIT_FOR_REPLICA
    credit.settled("a", 3.0)
    credit.covered(2.5)
    assert credit.may_send() is CreditVerdict.WAIT_FOR_REPLICA
    credit.covered(3.0)
    assert credit.may_send() is CreditVerdict.SEND


def test_an_answer_waits_for_the_ratchet_key_of_the_inbound_message() -> None:
    credit = SendCredit()
    credit.covered(1.0)
    credit.inbound(5.0)
    assert credit.may_send() is CreditVerdict.WAIT_FOR_INBOUND
    credit.covered(4.9)
    assert credit.may_send() is CreditVerdict.WAIT_FOR_INBOUND
    credit.covered(5.0)
    assert credit.may_send() is CreditVerdict.SEND


def test_settling_an_unknown_message_changes_nothing() -> None:
    credit = SendCredit(1)
    credit.covered(1.0)
    credit.settled("never sent", 9.0)
    assert credit.unreplicated == 0


def test_a_credit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        SendCredit(0)
