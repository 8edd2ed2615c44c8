"""Rows become messages or are refused with a name; nothing that fails here has reached WhatsApp. Virtual time."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from connector_virtual import VirtualClock, run

from whatsam_connector.content import schema
from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.prepared import PreparationFailed, PreparedMessage, TargetRow
from whatsam_connector.messages.preparing import Preparing, SessionPreparer
from whatsam_connector.messages.rules import OutRow, OutStatus
from whatsam_connector.messages.uploads import KEPT_FOR, Uploads
from whatsam_connector.supervision import EngineExit, EngineGone, EngineRefused, EngineUncertain, ExitReason
from whatsam_core.resources.session import Pacing, PacingMode
from whatsam_core.storage.objects import ObjectMissing, ObjectStoreError, ObjectStoreUnreachable

TO = "491511000002"
CHAT = f"{TO}@s.whatsapp.net"
DATA = b"the bytes of a picture"
MEDIA: dict[str, Any] = {"sha256": hashlib.sha256(DATA).hexdigest(), "size": len(DATA), "mimetype": "image/png"}


class Store:
    """Gives every file, or fails as told."""

    def __init__(self) -> None:
        self.data = DATA
        self.fails: list[Exception] = []
        self.asked = 0
        self.held: asyncio.Event | None = None

    async def get_file(self, key: str, path: Path) -> int:
        self.asked += 1
        if self.fails:
            raise self.fails.pop(0)
        if self.held is not None:
            await self.held.wait()
        path.write_bytes(self.data)  # noqa: ASYNC240 - a few bytes
        return len(self.data)


class Engine:
    """Takes every upload, or fails as told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.fails: list[Exception] = []
        self.answer: Any = {
            "url": "https://mmg.whatsapp.net/x",
            "direct_path": "/x?y",
            "media_key": base64.b64encode(b"k" * 32).decode(),
            "file_sha256": base64.b64encode(bytes.fromhex(MEDIA["sha256"])).decode(),
            "file_enc_sha256": base64.b64encode(b"e" * 32).decode(),
            "file_length": len(DATA),
        }

    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float) -> Any:
        self.calls.append((method, arguments))
        if self.fails:
            raise self.fails.pop(0)
        return self.answer

    @property
    def uploads(self) -> int:
        return sum(method == "upload" for method, _ in self.calls)


class Rows:
    """What is known of other messages."""

    def __init__(self) -> None:
        self.known: dict[UUID, TargetRow] = {}
        self.away = False

    async def target(self, session: str, message: UUID) -> TargetRow | None:
        if self.away:
            raise DatabaseUnavailable("away")
        return self.known.get(message)


class Bench:
    """A preparer with everything around it."""

    def __init__(self, folder: Path, *, disk: int = 10_000) -> None:
        self.store, self.engine, self.rows, self.clock = Store(), Engine(), Rows(), VirtualClock()
        self.folder = folder / "uploads"
        self.folder.mkdir()
        (self.folder / "left behind").write_bytes(b"by a process that died")
        self.uploads = Uploads(self.store, self.folder, installation_id="whatsam", now=self.clock.now, disk_bytes=disk)
        self.preparing = Preparing(self.rows, self.uploads, self.clock, lambda: 0.5)
        self.preparer = self.preparing.open("test/phone", "acme", "uid-1")

    def row(self, kind: str, body: dict[str, Any], chat: str = TO, ephemeral: int = 0) -> OutRow:
        return OutRow(uuid4(), chat, kind, body, OutStatus.PENDING, 0, None, ephemeral)

    async def prepare(self, row: OutRow, preparer: SessionPreparer | None = None) -> PreparedMessage:
        return await (preparer or self.preparer).prepare(row, self.engine)

    async def failure(self, row: OutRow) -> PreparationFailed:
        with pytest.raises(PreparationFailed) as failed:
            await self.prepare(row)
        assert list(self.folder.iterdir()) == [], "nothing is left on the disk"
        return failed.value


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    async def at_once(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return work(*arguments, **named)

    # Virtual time does not wait for threads.
    monkeypatch.setattr(asyncio, "to_thread", at_once)

    def make(disk: int = 10_000) -> Bench:
        return Bench(tmp_path, disk=disk)

    return make


def image(bench: Bench) -> OutRow:
    return bench.row("image", {"media": MEDIA})


def test_a_plain_text_needs_no_waiting(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        prepared = one.preparer.immediate(one.row("text", {"text": "hi", "fingerprint": "f"}, "+49 151 1000002"))
        assert prepared is not None
        assert prepared.to == CHAT
        assert schema.parse(prepared.message).conversation == "hi"
        assert one.preparer.immediate(one.row("text", {"text": "hi", "mentions": [CHAT]})) is None
        assert one.preparer.immediate(one.row("text", {"text": "hi"}, ephemeral=60)) is None
        assert one.preparer.immediate(one.row("poll", {})) is None
        for body in ({}, {"text": ""}, {"text": 7}, {"text": "x" * 70_000}, {"text": "\ud83d"}):
            with pytest.raises(PreparationFailed) as failed:
                one.preparer.immediate(one.row("text", body))
            assert (failed.value.code, failed.value.retry_after) == ("InvalidMessage", None)
        with pytest.raises(PreparationFailed) as failed:
            one.preparer.immediate(one.row("text", {"text": "hi"}, "nobody"))
        assert failed.value.code == "InvalidRecipient"

    run(main())


def test_a_file_is_uploaded_once_for_a_while(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        assert list(one.folder.iterdir()) == [], "what a dead process left is gone"
        for _ in range(2):
            await one.prepare(image(one))
        prepared = await one.prepare(image(one))
        assert (one.engine.uploads, one.store.asked) == (1, 1)
        part = schema.parse(prepared.message).imageMessage
        assert (part.URL, part.directPath, part.fileLength) == ("https://mmg.whatsapp.net/x", "/x?y", len(DATA))
        await one.prepare(image(one), one.preparing.open("test/other", "acme", "uid-2"))
        assert one.engine.uploads == 2, "another session uploads for itself"
        await one.prepare(one.row("document", {"media": MEDIA}))
        assert one.engine.uploads == 3, "another kind has other keys"
        await asyncio.sleep(KEPT_FOR.total_seconds() + 1)
        await one.prepare(image(one))
        assert one.engine.uploads == 4

    run(main(), limit=100_000)


def test_a_store_that_is_away_is_waited_for(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        row = image(one)
        one.store.fails = [ObjectStoreUnreachable("away") for _ in range(20)]
        for _ in range(20):
            failed = await one.failure(row)
            assert (failed.code, failed.retry_after) == ("StoreUnreachable", 2.0), "never given up"
        await one.prepare(row)

    run(main())


@pytest.mark.parametrize(
    "trouble",
    [
        ObjectStoreError("no rights"),
        EngineRefused("Failed", "upload failed"),
        EngineUncertain("no word"),
    ],
)
def test_what_fails_again_and_again_is_given_up(bench: Callable[..., Bench], trouble: Exception) -> None:
    async def main() -> None:
        one = bench()
        row = image(one)
        target = one.store if isinstance(trouble, ObjectStoreError) else one.engine
        target.fails = [trouble] * 5
        failures = [await one.failure(row) for _ in range(5)]
        assert [failed.retry_after is None for failed in failures] == [False] * 4 + [True]
        assert {failed.code for failed in failures} == {"UploadFailed"}
        target.fails = [trouble] * 2
        again = image(one)
        assert [(await one.failure(again)).retry_after is None for _ in range(2)] == [False, False]
        await one.prepare(again)

    run(main())


def test_what_can_never_be_sent_fails_at_once(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        one.store.fails = [ObjectMissing("gone")]
        failed = await one.failure(image(one))
        assert (failed.code, failed.retry_after) == ("MediaMissing", None)
        large = one.row("image", {"media": {**MEDIA, "size": 10_001}})
        assert ((await one.failure(large)).code, one.store.asked) == ("MediaTooLarge", 1)
        for row in (
            one.row("call", {}),
            one.row("image", {}),
            one.row("poll", {"poll": 7}),
            one.row("text", {"text": "\ud83d", "mentions": [CHAT]}),
        ):
            failed = await one.failure(row)
            assert (failed.code, failed.retry_after) == ("InvalidMessage", None)

    run(main())


def test_another_file_than_the_one_that_was_accepted_is_not_sent(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        one.store.data = DATA[:-1]
        assert (await one.failure(image(one))).code == "UploadFailed"
        one.store.data = b"X" + DATA[1:]
        assert (await one.failure(image(one))).code == "UploadFailed"
        assert one.engine.uploads == 0
        one.store.data = DATA
        one.engine.answer = {**one.engine.answer, "file_sha256": base64.b64encode(bytes(32)).decode()}
        assert (await one.failure(image(one))).code == "UploadFailed"
        for answer in (None, {}, {**one.engine.answer, "media_key": "?"}):
            one.engine.answer = answer
            assert (await one.failure(image(one))).code == "UploadFailed"

    run(main())


def test_an_engine_that_is_not_connected_keeps_the_attempts(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        row = image(one)
        one.engine.fails = [EngineRefused("NotConnected", "not connected") for _ in range(9)]
        for _ in range(9):
            assert (await one.failure(row)).retry_after == 1.0
        one.engine.fails = [EngineGone(EngineExit(-6, ExitReason.PANIC))]
        with pytest.raises(EngineGone):
            await one.prepare(row)
        await one.prepare(row)

    run(main())


def test_files_on_their_way_share_a_bounded_disk(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench(disk=len(DATA) * 2)
        one.store.held = asyncio.Event()
        other = [one.preparing.open(f"test/{n}", "acme", f"uid-{n}") for n in range(4)]
        tasks = [asyncio.create_task(one.prepare(image(one), preparer)) for preparer in other]
        await asyncio.sleep(1)
        assert one.store.asked == 2
        tasks[0].cancel()
        await asyncio.sleep(1)
        assert one.store.asked == 3, "who is cancelled gives back what he had"
        one.store.held.set()
        await asyncio.gather(*tasks[1:])
        assert list(one.folder.iterdir()) == []

    run(main())


def test_a_target_is_named_when_it_has_a_name(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        first = uuid4()
        target = {"messageId": str(first), "fromMe": True, "type": "text"}
        row = one.row("edit", {"text": "new", "target": target}, CHAT)
        assert (await one.failure(row)).code == "TargetMissing"
        one.rows.known[first] = TargetRow(None, "sending")
        failed = await one.failure(row)
        assert (failed.code, failed.retry_after) == ("TargetOpen", 0.5)
        one.rows.known[first] = TargetRow(None, "failed")
        assert ((await one.failure(row)).code, (await one.failure(row)).retry_after) == ("TargetFailed", None)
        one.rows.known[first] = TargetRow("3EB0A", "sent")
        prepared = await one.prepare(row)
        assert schema.parse(prepared.message).editedMessage.message.protocolMessage.key.ID == "3EB0A"
        named = one.row("revoke", {"target": {"waId": "3EB0B"}}, CHAT)
        one.rows.away = True
        assert schema.parse((await one.prepare(named)).message).protocolMessage.key.ID == "3EB0B"
        with pytest.raises(DatabaseUnavailable):
            await one.prepare(row)

    run(main())


def test_the_timer_of_the_chat_is_honoured(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        prepared = await one.prepare(one.row("text", {"text": "hi"}, ephemeral=604_800))
        part = schema.parse(prepared.message).extendedTextMessage
        assert (part.text, part.contextInfo.expiration) == ("hi", 604_800)

    run(main())


def test_a_paced_session_writes_like_a_person(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        one.preparer.pace(Pacing(mode=PacingMode.HUMAN))
        row = one.row("text", {"text": "x" * 70})
        assert one.preparer.immediate(row) is None
        before = one.clock.monotonic()
        await one.prepare(row)
        assert one.clock.monotonic() - before == pytest.approx(10.0)
        assert one.engine.calls == [("chat_presence", {"chat": CHAT, "state": "composing"})]
        one.engine.fails = [EngineRefused("NotReady", "no push name yet")]
        await one.prepare(row)
        one.preparer.pace(Pacing())
        assert one.preparer.immediate(row) is not None

    run(main())


def test_a_rate_is_kept_over_many_messages(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        one.preparer.pace(Pacing(messages_per_minute=20))
        before = one.clock.monotonic()
        for _ in range(21):
            await one.prepare(one.row("text", {"text": "hi"}))
        assert one.clock.monotonic() - before == pytest.approx(60.0)
        assert one.engine.calls == [], "nobody is shown anything"

    run(main())
