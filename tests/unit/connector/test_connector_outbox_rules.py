"""The rules of the outbox: what becomes of the head of the line, and which receipts settle it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.rules import (
    MOST_ATTEMPTS,
    UNCERTAIN_WAIT,
    Line,
    Next,
    OutRow,
    OutStatus,
    Receipt,
    Refusal,
    judge,
    judge_refusal,
    same_chat,
)
from whatsam_connector.state import CreditVerdict

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def row(status: OutStatus = OutStatus.PENDING, *, attempts: int = 0, chat: str = "+491522000001") -> OutRow:
    return OutRow(UUID(int=1), chat, "text", {"text": "x"}, status, attempts, NOW)


def receipt(
    wa_id: str = "WA", *, at: datetime = NOW, chat: str = "5555555@lid", phone: str | None = "491522000001"
) -> Receipt:
    return Receipt(wa_id, chat, phone, "delivered", at)


lines = st.builds(
    Line,
    linked=st.booleans(),
    listened_for=st.floats(min_value=0, max_value=100),
    credit=st.sampled_from(CreditVerdict),
    receipt=st.sampled_from([None, receipt()]),
    send_again=st.booleans(),
    own_id=st.booleans(),
)
heads = st.builds(row, st.sampled_from(OutStatus), attempts=st.integers(0, 10))


@given(heads, lines)
def test_nothing_is_sent_without_a_link_and_credit(head: OutRow, line: Line) -> None:
    if judge(head, line) is Next.CLAIM:
        assert head.status is OutStatus.PENDING
        assert line.linked
        assert line.credit is CreditVerdict.SEND


@given(heads, lines)
def test_a_message_with_an_open_fate_is_sent_again_only_after_the_wait(head: OutRow, line: Line) -> None:
    if judge(head, line) in (Next.SEND_AGAIN, Next.GIVE_UP):
        assert head.status is OutStatus.UNCERTAIN
        assert line.receipt is None
        assert line.linked
        assert line.listened_for >= UNCERTAIN_WAIT or (line.own_id and judge(head, line) is Next.SEND_AGAIN)


@given(heads, lines)
def test_who_does_not_want_it_twice_never_gets_it_twice(head: OutRow, line: Line) -> None:
    if judge(head, line) is Next.SEND_AGAIN:
        assert line.send_again


@given(heads, lines)
def test_a_receipt_settles_at_once(head: OutRow, line: Line) -> None:
    if head.status is OutStatus.UNCERTAIN and line.receipt is not None:
        assert judge(head, line) is Next.SETTLE


def test_the_rest_of_the_table() -> None:
    line = Line(linked=True, listened_for=99, credit=CreditVerdict.SEND, receipt=None)
    assert judge(None, line) is Next.IDLE
    assert judge(row(), line) is Next.CLAIM
    assert judge(row(OutStatus.SENDING), line) is Next.MARK_UNCERTAIN
    assert judge(row(OutStatus.UNCERTAIN, attempts=MOST_ATTEMPTS - 1), line) is Next.SEND_AGAIN
    assert judge(row(OutStatus.UNCERTAIN, attempts=MOST_ATTEMPTS), line) is Next.GIVE_UP


@pytest.mark.parametrize(
    ("code", "attempts", "expected"),
    [
        ("NotConnected", 99, Refusal.PUT_BACK),
        ("EngineGone", 99, Refusal.PUT_BACK),
        ("NotSent", 1, Refusal.TRY_AGAIN),
        ("NotSent", MOST_ATTEMPTS, Refusal.FAIL),
        ("InvalidRecipient", 1, Refusal.FAIL),
        ("SomethingNew", 1, Refusal.FAIL),
    ],
)
def test_refusals(code: str, attempts: int, expected: Refusal) -> None:
    assert judge_refusal(code, attempts) is expected


@pytest.mark.parametrize(
    ("asked", "chat", "phone", "same"),
    [
        ("+49 152 2000001", "5555555@lid", "491522000001", True),
        ("491522000001@s.whatsapp.net", "5555555@lid", "491522000001", True),
        ("491522000001", "491522000001:4@s.whatsapp.net", None, True),
        ("5555555@lid", "5555555:2@lid", None, True),
        ("120344-16000@g.us", "120344-16000@g.us", None, True),
        ("491522000002", "5555555@lid", "491522000001", False),
        ("5555555@lid", "5555556@lid", "491522000001", False),
        ("nobody", "5555555@lid", "491522000001", False),
    ],
)
def test_chats_are_recognised_by_lid_and_by_number(asked: str, chat: str, phone: str | None, same: bool) -> None:
    assert same_chat(asked, receipt(chat=chat, phone=phone)) is same


def test_a_receipt_from_before_the_claim_settles_nothing() -> None:
    receipts = UnknownReceipts()
    receipts.put(receipt("OLD", at=NOW - timedelta(minutes=1)))
    assert receipts.settles(row(OutStatus.UNCERTAIN)) is None
    receipts.put(receipt("NEW", at=NOW + timedelta(seconds=1)))
    found = receipts.settles(row(OutStatus.UNCERTAIN))
    assert found is not None
    assert found.wa_id == "NEW"


def test_a_message_with_an_id_of_its_own_is_settled_by_that_id_alone() -> None:
    receipts = UnknownReceipts()
    mine = replace(row(OutStatus.UNCERTAIN), wa_id="MINE")
    receipts.put(receipt("ANOTHER", at=NOW + timedelta(seconds=1)))
    assert receipts.settles(mine, own_id=True) is None
    receipts.put(receipt("MINE", at=NOW + timedelta(seconds=1)))
    found = receipts.settles(mine, own_id=True)
    assert found is not None
    assert found.wa_id == "MINE"


def test_of_two_receipts_the_further_one_counts() -> None:
    receipts = UnknownReceipts()
    receipts.put(Receipt("WA", "5555555@lid", None, "read", NOW))
    receipts.put(Receipt("WA", "5555555@lid", None, "delivered", NOW))
    taken = receipts.take("WA")
    assert taken is not None
    assert taken.status == "read"
    assert receipts.take("WA") is None


def test_the_memory_of_receipts_is_bounded() -> None:
    receipts = UnknownReceipts()
    for number in range(3000):
        receipts.put(receipt(f"WA{number}"))
    assert receipts.take("WA0") is None
    assert receipts.take("WA2999") is not None
