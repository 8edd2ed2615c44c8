"""Whatever ends at whatever step: no message is lost, none is sent twice without having been uncertain, order holds.

The outbox works on a table and an engine that are played; a worker dies (or the database loses an answer) after any
statement, before or after it counted, or around any send. A successor goes on with the same table. Virtual time.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
from connector_rows import FakePreparing, FakeRow, FakeRows
from connector_virtual import VirtualClock, run, until
from hypothesis import given, settings
from hypothesis import strategies as st

from whatsam_connector.content import schema
from whatsam_connector.engine.protocol import Capabilities
from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.desk import Claim, Desk, SentRow, Wish
from whatsam_connector.messages.outbox import Outbox
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.rules import LONGEST_RUN, UNCERTAIN_WAIT, Receipt
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.state import SendCredit
from whatsam_connector.supervision import EngineRefused, EngineUncertain, OutgoingMessage, SendResult

OPEN = {"pending", "sending", "uncertain"}


@dataclass
class Events:
    """Counts everything that happens and lets the world go wrong at one point."""

    at: int = -1
    what: str = ""
    count: int = 0
    uncertain: set[str] = field(default_factory=set[str])
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    def step(self) -> str:
        """What goes wrong now, if anything."""
        self.count += 1
        return self.what if self.count - 1 == self.at else ""

    async def die(self) -> NoReturn:
        """The worker is gone at this point: nothing of it goes on."""
        self.dead.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody wakes the dead")


@dataclass
class Engine:
    """WhatsApp behind an engine: takes messages, and may answer badly."""

    events: Events
    own_ids: bool = False
    taken: list[str] = field(default_factory=list[str])
    ids: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """The ids under which WhatsApp got each text."""
    busy: int = 0
    begun: Callable[[], None] = lambda: None
    """Called when it gets a message."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(own_message_ids=self.own_ids, ack_after_persist=self.own_ids, passkey=False)

    async def send(self, uid: str, message: OutgoingMessage, timeout: float) -> SendResult:
        text = schema.parse(message.message).conversation
        self.busy += 1
        assert self.busy == 1, "one send at a time"
        self.begun()
        try:
            match self.events.step():
                case "before":
                    await self.events.die()
                case "refused":
                    raise EngineRefused("NotConnected", "not now")
                case "uncertain":
                    raise EngineUncertain("no word, not taken")
                case wrong:
                    await asyncio.sleep(0.01)
                    self.taken.append(text)
                    wa_id = message.message_id or f"WA{len(self.taken)}"
                    self.ids.setdefault(text, set()).add(wa_id)
                    if wrong == "taken":
                        raise EngineUncertain("no word, but taken")
                    if wrong in ("after", "lost"):
                        await self.events.die()
            return SendResult(wa_id, VirtualClock().now())
        finally:
            self.busy -= 1

    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float) -> Any:
        raise AssertionError("nobody asks")


class Table(FakeRows):
    """Rows that remember which of them were ever uncertain; a statement may fail before or after it counted."""

    def __init__(self, events: Events, settling: float = 0.0) -> None:
        super().__init__()
        self.events = events
        self.settling = settling
        """Seconds that a settlement takes: sends overtake it."""
        self.after_statement = self._after
        self.claims: list[bool] = []
        """For each claim: whether an engine was busy when it was made."""
        self.engine: Engine | None = None

    async def claim_runs(self, wishes: Sequence[Wish]) -> list[Claim]:
        self.claims.append(self.engine is not None and self.engine.busy > 0)
        return await super().claim_runs(wishes)

    async def settle(self, sent: Sequence[SentRow]) -> None:
        await asyncio.sleep(self.settling)
        await super().settle(sent)

    async def _answer(self) -> None:
        if self.events.dead.is_set():
            await asyncio.Event().wait()
        await asyncio.sleep(0.001)
        self._note()
        wrong = self.events.step()
        self._wrong_after = wrong in ("after", "lost")
        self._loses = wrong == "lost"
        if wrong == "before":
            await self.events.die()
        if wrong == "refused":
            raise DatabaseUnavailable("before it counted")

    async def _after(self, _statement: str) -> None:
        self._note()
        if self._wrong_after:
            self._wrong_after = False
            if self._loses:
                raise DatabaseUnavailable("after it counted")
            await self.events.die()

    def _note(self) -> None:
        self.events.uncertain |= {row.text for row in self.rows if row.status == "uncertain"}


def outbox(
    table: Table,
    epoch: int,
    engine: Engine,
    credit: SendCredit,
    preparing: FakePreparing,
    receipts: UnknownReceipts | None = None,
) -> Outbox:
    made = Outbox(
        session="ns/s",
        uid="uid",
        epoch=epoch,
        boot=f"boot{epoch}",
        rows=table,
        desk=Desk(table),
        receipts=receipts or UnknownReceipts(),
        credit=credit,
        waiters=Waiters(),
        clock=VirtualClock(),
        may_work=lambda: True,
        late=lambda _receipt: None,
        preparer=preparing,
    )
    made.link(engine)
    return made


async def live(
    table: Table, epoch: int, engine: Engine, preparing: FakePreparing, coming: list[str] | None = None
) -> bool:
    """One worker until all is settled, or it is dead. Whether it got through.

    With each message that the engine gets, one of those that are `coming` is written, and announced.
    """
    credit = SendCredit()
    box = outbox(table, epoch, engine, credit, preparing)

    def come() -> None:
        if coming:
            box.wake(table.add(f"message {len(table.rows)}", type=coming.pop(0)).id)

    engine.begun = come
    box.replicated(VirtualClock().monotonic())
    working = asyncio.create_task(box.run())

    async def replicate() -> None:
        while True:
            await asyncio.sleep(0.25)
            box.replicated(VirtualClock().monotonic())
            box.wake()

    dying = asyncio.create_task(table.events.dead.wait())
    world: set[asyncio.Task[Any]] = {working, dying, asyncio.create_task(replicate())}
    try:
        async with asyncio.timeout(600):
            while any(row.status in OPEN for row in table.rows) and not dying.done():
                assert not working.done(), working.result()
                await asyncio.wait({dying}, timeout=0.05)
        return not dying.done()
    finally:
        here = asyncio.current_task()
        others = [task for task in world | asyncio.all_tasks() if task is not here]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        table.events.dead.clear()


def play(
    kinds: list[str], at: int, what: str, settling: float = 0.0, *, own_ids: bool = False, later: int = 0
) -> tuple[Table, Engine, Events]:
    """A line of messages, and one thing that goes wrong at step `at`. `later`: come while others are under way."""
    events = Events(at, what)
    table, engine = Table(events, settling), Engine(events, own_ids)
    table.engine = engine

    async def story() -> None:
        for number, kind in enumerate(kinds):
            table.add(f"message {number}", type=kind)
        coming = ["text"] * later
        preparing = FakePreparing(seconds=0.3)
        for epoch in range(1, 4):
            engine.busy = 0
            if await live(table, epoch, engine, preparing, coming):
                return
        raise AssertionError(f"nobody got through: {[row.status for row in table.rows]}")

    run(story())
    return table, engine, events


def check(table: Table, engine: Engine, events: Events) -> None:
    texts = [row.text for row in table.rows]
    assert {row.status for row in table.rows} <= {"sent"}, [row.status for row in table.rows]
    assert set(engine.taken) == set(texts), "nothing that was accepted is lost"
    doubled = {text for text in texts if engine.taken.count(text) > 1}
    assert doubled <= events.uncertain, "sent twice without having been uncertain"
    first = list(dict.fromkeys(engine.taken))
    assert first == texts, "order of the rows"
    assert len(doubled) <= 2, "more than one result was unwritten while another message was under way"
    if engine.own_ids:
        assert all(len(ids) == 1 for ids in engine.ids.values()), "a second attempt under another id"
        assert [row.wa_id for row in table.rows] == [next(iter(engine.ids[text])) for text in texts]


@settings(max_examples=80, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["text", "text", "text", "image"]), min_size=1, max_size=LONGEST_RUN + 4),
    at=st.integers(0, 60),
    what=st.sampled_from(["before", "after", "lost", "refused", "uncertain", "taken"]),
    settling=st.sampled_from([0.0, 0.02, 0.3]),
    own_ids=st.booleans(),
    later=st.integers(0, 6),
)
def test_nothing_is_lost_or_doubled_whatever_ends_when(
    kinds: list[str], at: int, what: str, settling: float, own_ids: bool, later: int
) -> None:
    check(*play(kinds, at, what, settling, own_ids=own_ids, later=later))


@pytest.mark.parametrize("own_ids", [False, True])
@pytest.mark.parametrize(("what", "settling"), [("before", 0.0), ("after", 0.3), ("lost", 0.3)])
def test_every_step_of_a_full_run(what: str, settling: float, own_ids: bool) -> None:
    kinds = ["text"] * (LONGEST_RUN + 2)
    _table, _engine, events = play(kinds, -1, "", settling, own_ids=own_ids)
    for at in range(events.count):
        check(*play(kinds, at, what, settling, own_ids=own_ids))


@pytest.mark.parametrize("what", ["before", "after", "lost", "refused", "uncertain", "taken"])
def test_every_step_while_messages_come_one_by_one(what: str) -> None:
    _table, _engine, events = play(["text"], -1, "", later=4)
    for at in range(events.count):
        check(*play(["text"], at, what, later=4))


def test_the_next_message_is_claimed_while_the_last_one_is_with_the_engine() -> None:
    table, engine, _events = play(["text"], -1, "")
    assert table.claims == [False], "one claim for one message: nobody said that there was more"
    table, engine, _events = play(["text"], -1, "", later=2)
    assert engine.taken == ["message 0", "message 1", "message 2"]
    assert table.claims == [False, True, True], "the engine is busy while the next one is claimed"


def test_an_id_of_its_own_ends_an_uncertain_message_without_a_wait() -> None:
    events = Events()
    table, engine = Table(events), Engine(events, own_ids=True)

    async def story() -> None:
        row = table.add("message 0", status="uncertain")
        row.attempts, row.epoch, row.wa_id = 1, 1, f"OWN-{row.id}"
        began = asyncio.get_running_loop().time()
        assert await live(table, 2, engine, FakePreparing())
        assert asyncio.get_running_loop().time() - began < UNCERTAIN_WAIT / 2

    run(story())
    assert engine.taken == ["message 0"]
    assert table.rows[0].wa_id in engine.ids["message 0"]


def test_while_no_engine_is_there_no_other_messages_receipt_settles_one_with_an_id_of_its_own() -> None:
    events = Events()
    table, engine = Table(events), Engine(events, own_ids=True)

    async def story() -> None:
        row = table.add("message 0", status="uncertain")
        row.attempts, row.epoch, row.wa_id = 1, 1, f"OWN-{row.id}"
        receipts = UnknownReceipts()
        receipts.put(Receipt("OF-THE-PHONE", row.chat, row.chat.lstrip("+"), "delivered", VirtualClock().now()))
        box = outbox(table, 2, engine, SendCredit(), FakePreparing(), receipts)
        box.unlink()
        working = asyncio.create_task(box.run())
        await asyncio.sleep(30)
        assert row.status == "uncertain"
        box.link(engine)
        box.replicated(VirtualClock().monotonic())
        async with asyncio.timeout(60):
            await until(lambda: row.status == "sent")
        working.cancel()

    run(story())
    assert engine.taken == ["message 0"]
    assert table.rows[0].wa_id in engine.ids["message 0"]


def test_what_another_engine_left_uncertain_waits_for_its_receipt_first() -> None:
    """It went out under an id that nobody knows; sending it under one of ours at once would make it two."""
    events = Events()
    table, engine = Table(events), Engine(events, own_ids=True)

    async def story() -> None:
        row = table.add("message 0", status="uncertain")
        row.attempts, row.epoch = 1, 1
        began = asyncio.get_running_loop().time()
        assert await live(table, 2, engine, FakePreparing())
        assert asyncio.get_running_loop().time() - began >= UNCERTAIN_WAIT

    run(story())
    assert engine.taken == ["message 0"]


def test_rows_that_a_dead_worker_never_sent_wait_once_and_not_one_after_the_other() -> None:
    events = Events()
    table, engine = Table(events), Engine(events)
    rows: list[FakeRow] = []

    async def story() -> None:
        for number in range(LONGEST_RUN):
            row = table.add(f"message {number}", status="sending")
            row.attempts, row.epoch = 1, 1
            rows.append(row)
        began = asyncio.get_running_loop().time()
        assert await live(table, 2, engine, FakePreparing())
        assert asyncio.get_running_loop().time() - began < 2 * 10

    run(story())
    assert engine.taken == [row.text for row in rows]


def test_a_lost_answer_of_a_claim_makes_nothing_uncertain() -> None:
    table, engine, events = play(["text"] * 5, 1, "lost")
    check(table, engine, events)
    assert events.uncertain == set()


def test_sessions_share_a_statement() -> None:
    """Twenty sessions with a message each: far fewer claims and settlements than messages."""
    counted: list[str] = []

    async def story() -> None:
        events = Events()
        tables = {f"ns/s{number}": Table(events) for number in range(20)}

        class All(Table):
            async def claim_runs(self, wishes: Any) -> Any:
                counted.append("claim")
                await asyncio.sleep(0.01)
                return [(await tables[wish.session].claim_runs([wish]))[0] for wish in wishes]

            async def settle(self, sent: Any) -> None:
                counted.append("settle")
                await asyncio.sleep(0.01)
                for one in sent:
                    await tables[one.session].settle([one])

        desk = Desk(All(events))
        boxes: list[asyncio.Task[None]] = []
        for session, table in tables.items():
            table.add("one")
            credit = SendCredit()
            credit.covered(VirtualClock().monotonic())
            box = _shared(session, table, desk, credit, Engine(events))
            boxes.append(asyncio.create_task(box.run()))
        async with asyncio.timeout(60):
            await until(lambda: all(row.status not in OPEN for table in tables.values() for row in table.rows))
        for box in boxes:
            box.cancel()
        await asyncio.gather(*boxes, return_exceptions=True)

    run(story())
    assert counted.count("settle") <= 10
    assert counted.count("claim") <= 10


def _shared(session: str, table: Table, desk: Desk, credit: SendCredit, engine: Engine) -> Outbox:
    box = Outbox(
        session=session,
        uid=session,
        epoch=1,
        boot="boot",
        rows=table,
        desk=desk,
        receipts=UnknownReceipts(),
        credit=credit,
        waiters=Waiters(),
        clock=VirtualClock(),
        may_work=_always,
        late=lambda _receipt: None,
        preparer=FakePreparing(),
    )
    box.link(engine)
    return box


_always: Callable[[], bool] = lambda: True  # noqa: E731 - a word for it
