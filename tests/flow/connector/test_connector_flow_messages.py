"""Messages of one session: in order, once, and with a known fate, whatever ends in between. Fakes, virtual time."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from connector_fakes import inbound
from connector_rig import UID, Rig, connector
from connector_rows import FakeRow
from connector_virtual import VirtualClock, run, until
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from whatsam_connector.content import schema
from whatsam_connector.http.calls import Calls
from whatsam_connector.http.holding import Address, Refusal
from whatsam_connector.journal import InboundReceipt, ReceiptKind, Writer
from whatsam_connector.messages.rows import MessageView
from whatsam_connector.messages.rules import MOST_ATTEMPTS, UNCERTAIN_WAIT
from whatsam_connector.supervision import EngineRefused, EngineUncertain, ExitReason
from whatsam_core import tracing
from whatsam_core.resources.session import Phase

BOB = "+491522000001"


def texts(rig: Rig) -> list[str]:
    return [schema.parse(message.message).conversation for engine in rig.room.engines for message in engine.sent]


async def settled(*rows: FakeRow) -> None:
    await until(lambda: all(row.status not in {"pending", "sending", "uncertain"} for row in rows))


def receipt(wa_id: str) -> InboundReceipt:
    now = VirtualClock().now()
    return InboundReceipt("event", (wa_id,), "55@lid", BOB[1:], "55@lid", ReceiptKind.DELIVERED, now)


def deliver(tmp_path: Path, *records: InboundReceipt) -> None:
    """What the engine's journal writer does."""
    with closing(Writer(tmp_path / UID / "journal")) as writer:
        for record in records:
            writer.append(record)
        writer.sync()


def test_messages_leave_in_the_order_of_their_rows(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            rows = [rig.rows.add(f"message {number}") for number in range(10)]
            await settled(*rows)
            assert texts(rig) == [f"message {number}" for number in range(10)]
            assert all(row.status == "sent" and row.attempts == 1 for row in rows)

    run(story())


def test_nothing_leaves_before_the_session_is_connected_and_its_queue_drained(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            row = rig.rows.add("early")
            rig.sessions.put()
            engine = await rig.engine(1)
            await asyncio.sleep(60)
            assert row.status == "pending"
            assert engine.sent == []

    run(story())


def test_a_message_whose_engine_died_is_settled_by_its_receipt(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.pause = 60
            row, behind = rig.rows.add("in flight"), rig.rows.add("behind it")
            await until(lambda: row.status == "sending")
            engine.ends(ExitReason.PANIC)
            await until(lambda: row.status == "uncertain")
            again = await rig.engine(2)
            rig.log_in(again)
            await rig.reaches(Phase.CONNECTED)
            await asyncio.sleep(UNCERTAIN_WAIT / 2)
            assert behind.status == "pending"
            deliver(tmp_path, receipt("3EB0UNKNOWN"))
            again.say(inbound(UID, VirtualClock().monotonic()))
            await until(lambda: row.status == "delivered")
            rig.state.store(UID)
            await settled(row, behind)
            assert row.wa_id == "3EB0UNKNOWN"
            assert texts(rig) == ["in flight", "behind it"]
            assert "settled_by_receipt" in rig.counted

    run(story())


def test_a_message_without_a_receipt_is_sent_again_before_those_behind_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.pause = 60
            row, behind = rig.rows.add("in flight"), rig.rows.add("behind it")
            await until(lambda: row.status == "sending")
            engine.ends(ExitReason.PANIC)
            again = await rig.engine(2)
            rig.log_in(again)
            await settled(row, behind)
            assert texts(rig) == ["in flight", "in flight", "behind it"]
            assert {"uncertain", "sent_again"} <= set(rig.counted)

    run(story())


def test_whoever_would_rather_have_it_not_at_all_than_twice_gets_that(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.sessions.spec(uncertainSends="Fail")
            engine.pause = 60
            row, behind = rig.rows.add("in flight"), rig.rows.add("behind it")
            await until(lambda: row.status == "sending")
            engine.ends(ExitReason.PANIC)
            again = await rig.engine(2)
            rig.log_in(again)
            await settled(row, behind)
            assert (row.status, behind.status) == ("failed", "sent")
            assert "nobody can know" in (row.error or "")
            assert texts(rig) == ["in flight", "behind it"]

    run(story())


def test_a_send_continues_the_trace_of_its_call(tmp_path: Path) -> None:
    spans = InMemorySpanExporter()
    tracing.configure("connector", None, exporter=spans)

    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            with tracing.span("http POST"):
                row = rig.rows.add("hello")
                row.trace = tracing.traceparent()
            await settled(row)

    try:
        run(story())
    finally:
        tracing.shut_down()
    accepted, sent = spans.get_finished_spans()
    assert (accepted.name, sent.name) == ("http POST", "message.send")
    assert sent.parent is not None
    assert accepted.context is not None
    assert sent.parent.span_id == accepted.context.span_id
    assert "hello" not in sent.to_json()


def test_a_row_in_the_hands_of_a_dead_worker_is_uncertain_first(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            row = rig.rows.add("theirs", status="sending")
            row.attempts, row.epoch = 1, 0
            await rig.known_session()
            await until(lambda: row.status == "uncertain")
            started = asyncio.get_running_loop().time()
            await settled(row)
            assert asyncio.get_running_loop().time() - started >= UNCERTAIN_WAIT - 1

    run(story())


def test_a_message_that_ends_every_engine_is_given_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            poison, behind = rig.rows.add("poison"), rig.rows.add("behind it")
            for number in range(1, MOST_ATTEMPTS + 1):
                engine.outcome = [EngineUncertain("no word")]
                await until(lambda number=number: poison.attempts == number and poison.status == "uncertain")
            await settled(poison, behind)
            assert poison.status == "failed"
            assert poison.error is not None
            assert behind.status == "sent"

    run(story())


@pytest.mark.parametrize("code", ["InvalidRecipient", "UnknownRecipient", "UnsupportedType", "ServerRefused"])
def test_a_message_that_can_never_be_sent_fails_and_makes_way(tmp_path: Path, code: str) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.outcome = [EngineRefused(code, "it cannot")]
            bad, good = rig.rows.add("bad"), rig.rows.add("good")
            await settled(bad, good)
            assert (bad.status, good.status) == ("failed", "sent")
            assert bad.error == f"{code}: it cannot"

    run(story())


@pytest.mark.parametrize("code", ["NotConnected", "NotStarted", "NotSent"])
def test_a_passing_refusal_keeps_the_place_in_the_line(tmp_path: Path, code: str) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.outcome = [EngineRefused(code, "not now")]
            first, second = rig.rows.add("first"), rig.rows.add("second")
            await settled(first, second)
            assert texts(rig) == ["first", "first", "second"]

    run(story())


def test_the_database_goes_away_after_a_send_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.pause = 2
            rows = [rig.rows.add(f"message {number}") for number in range(3)]
            await until(lambda: rows[0].status == "sending")
            rig.rows.away = True
            await asyncio.sleep(20)
            assert len(engine.sent) == 2  # one result may be unwritten while the next message is under way, no more
            rig.rows.away = False
            await settled(*rows)
            assert texts(rig) == ["message 0", "message 1", "message 2"]

    run(story())


def test_a_stale_worker_does_not_send_what_it_has_claimed(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()

            def frozen() -> None:
                rig.tenure.renewed_at = -1000.0  # the process was frozen between claim and send

            rig.rows.after_claim = frozen
            row = rig.rows.add("late")
            await until(lambda: row.epoch is not None and row.status == "pending")
            assert engine.sent == []
            assert row.attempts == 0

    run(story())


def test_at_most_the_credit_leaves_while_the_store_is_away(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rows = [rig.rows.add(f"message {number}") for number in range(40)]
            await asyncio.sleep(60)
            assert len(engine.sent) == 32
            rig.state.store(UID)
            await settled(*rows)
            assert len(engine.sent) == 40

    run(story())


def test_an_answer_waits_until_the_store_has_the_question(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.say(inbound(UID, VirtualClock().monotonic() + 0.001))
            row = rig.rows.add("answer")
            await asyncio.sleep(30)
            assert row.status == "pending"
            rig.state.store(UID)
            await settled(row)
            assert row.status == "sent"

    run(story())


def test_a_receipt_that_is_faster_than_the_answer_counts(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.pause = 5
            row = rig.rows.add("quick")
            await until(lambda: row.status == "sending")
            deliver(tmp_path, receipt(f"3EB00001{engine.pid}"))
            engine.say(inbound(UID, VirtualClock().monotonic()))
            await settled(row)
            await until(lambda: row.status == "delivered")

    run(story())


def calls(rig: Rig) -> Calls:
    return Calls(
        boot="boot1",
        find=rig.worker.runner,
        may_work=lambda: rig.tenure.holds(VirtualClock().boottime()),
        rows=rig.rows,
        waiters=rig.waiters,
        monotonic=VirtualClock().monotonic,
    )


def test_a_forwarded_call_waits_for_its_own_message(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            before, mine = rig.rows.add("before"), rig.rows.add("mine")
            view = await calls(rig).send(Address(UID, 1, "boot1"), mine.id, 5.0)
            assert isinstance(view, MessageView)
            assert (view.status, before.status) == ("sent", "sent")
            engine.pause = 60
            slow = rig.rows.add("slow")
            view = await calls(rig).send(Address(UID, 1, "boot1"), slow.id, 1.0)
            assert isinstance(view, MessageView)
            assert view.status == "sending"

    run(story())


def test_a_forwarded_call_for_somebody_else_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            row = rig.rows.add("message", status="sent")
            send = calls(rig).send
            assert await send(Address(UID, 2, "boot1"), row.id, 1.0) is Refusal.STALE_EPOCH
            assert await send(Address(UID, 1, "boot0"), row.id, 1.0) is Refusal.NOT_HOLDER
            assert await send(Address("uid-s9", 1, "boot1"), row.id, 1.0) is Refusal.NOT_HOLDER
            rig.leases.away = True
            await until(lambda: rig.tenure.fenced)
            assert await send(Address(UID, 1, "boot1"), row.id, 1.0) is Refusal.FENCED

    run(story())
