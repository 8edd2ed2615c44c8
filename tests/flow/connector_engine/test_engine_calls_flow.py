"""Marks, presence and uploads reach the other side; what hangs hangs alone."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from connector_engine_rig import LIMIT_SECONDS, Account, Rig, Running, journal_entries, message_of, text
from engine_differences import QUESTION_WITHOUT_ANSWER
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import DocumentMessage, Message

from whatsam_connector.engine.methods import METHODS, upload_seconds
from whatsam_connector.journal import Reader
from whatsam_connector.supervision import (
    ChatState,
    ChatStateChanged,
    Connected,
    EngineRefused,
    EngineUncertain,
    EngineUnresponsive,
    OutgoingMessage,
    PresenceChanged,
)


def jid(number: str) -> str:
    return f"{number}@s.whatsapp.net"


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a question to the simulator is answered with something."""

    async def enough() -> None:
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - the simulator does not push
            await asyncio.sleep(0.02)

    await asyncio.wait_for(enough(), LIMIT_SECONDS)


async def paired(rig: Rig, new_number: Callable[[], str]) -> tuple[Account, str, Running]:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    return account, contact, await rig.pair(account)


async def test_what_was_read_and_played_is_told_to_its_sender(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact, running = await paired(rig, new_number)
    first, second = await rig.say(contact, account.number, "one"), await rig.say(contact, account.number, "two")
    message = message_of((await journal_entries(Reader(account.journal), 2))[0])
    arguments = {"chat": message.chat, "sender": message.sender, "message_ids": [first, second], "played": False}
    await running.process.call(account.uid, "mark_read", arguments)

    def seen(kind: str) -> bool:
        receipts = rig.simulator.receipts(contact)
        return {first, second} <= {receipt.message_id for receipt in receipts if receipt.type == kind}

    await until(lambda: seen("read"))
    await running.process.call(account.uid, "mark_read", {**arguments, "played": True})
    await until(lambda: seen("played"))


async def test_presence_in_both_directions(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact, running = await paired(rig, new_number)
    call, uid = running.process.call, account.uid
    with pytest.raises(EngineRefused) as refused:
        await call(uid, "presence", {"available": True})
    assert refused.value.code == "NotReady"  # WhatsApp has not told the name of the account yet
    while True:  # the phone shares its keys for settings some time after the login
        try:
            await call(uid, "set_profile_name", {"name": "Gate"})
            break
        except EngineRefused:
            await asyncio.sleep(0.1)
    await call(uid, "presence", {"available": True})
    await running.process.send(uid, text(contact, "hello"), 30)

    for state in ("composing", "recording", "paused"):
        await call(uid, "chat_presence", {"chat": jid(contact), "state": state})
    await until(lambda: [event for event in rig.simulator.events(contact) if event.kind == "typing"][2:])

    await call(uid, "subscribe_presence", {"jid": jid(contact)})
    assert not (await running.event(PresenceChanged)).available
    await asyncio.to_thread(lambda: rig.simulator.set_presence(contact, available=True))
    assert (await running.event(PresenceChanged, nth=2)).available
    await asyncio.to_thread(lambda: rig.simulator.type(contact, account.number, "recording"))
    assert (await running.event(ChatStateChanged)).state is ChatState.RECORDING


async def test_a_file_that_was_uploaded_arrives_byte_for_byte(
    rig: Rig, new_number: Callable[[], str], tmp_path: Path
) -> None:
    account, contact, running = await paired(rig, new_number)
    content = bytes(range(256)) * 1000 + b"odd"
    path = tmp_path / "file"
    path.write_bytes(content)
    uploaded = await running.process.call(
        account.uid, "upload", {"path": str(path), "kind": "document"}, upload_seconds(len(content))
    )
    assert base64.b64decode(uploaded["file_sha256"]) == hashlib.sha256(content).digest()
    assert uploaded["file_length"] == len(content)
    document = DocumentMessage(
        URL=uploaded["url"],
        directPath=uploaded["direct_path"],
        mediaKey=base64.b64decode(uploaded["media_key"]),
        fileSHA256=base64.b64decode(uploaded["file_sha256"]),
        fileEncSHA256=base64.b64decode(uploaded["file_enc_sha256"]),
        fileLength=len(content),
        mimetype="application/octet-stream",
        fileName="file",
    )
    message = OutgoingMessage("r", contact, Message(documentMessage=document).SerializeToString())
    sent = await running.process.send(account.uid, message, 30)
    await until(lambda: rig.simulator.message(contact, sent.wa_id))
    assert await asyncio.to_thread(rig.simulator.media, contact, sent.wa_id) == content


async def test_uploads_that_cannot_be(rig: Rig, new_number: Callable[[], str], tmp_path: Path) -> None:
    account, _contact, running = await paired(rig, new_number)
    empty, file = tmp_path / "empty", tmp_path / "file"
    empty.touch()
    file.write_bytes(b"x")

    async def code(**arguments: str) -> str:
        with pytest.raises(EngineRefused) as refused:
            await running.process.call(account.uid, "upload", arguments)
        return refused.value.code

    assert await code(path=str(empty), kind="image") == "Invalid"
    assert await code(path=str(file), kind="hologram") == "Invalid"
    assert await code(path=str(tmp_path / "none"), kind="image") == "FileUnreadable"
    assert await code(kind="image") == "Invalid"
    rig.simulator.set_faults(media_status=500)
    assert await code(path=str(file), kind="image") == "Failed"


async def test_an_upload_to_a_silent_server_holds_nobody_up(
    rig: Rig, new_number: Callable[[], str], tmp_path: Path
) -> None:
    """neonize would wait for ever; sends, look-ups and the next upload go on."""
    account, contact, running = await paired(rig, new_number)
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1000)
    arguments = {"path": str(file), "kind": "image"}
    rig.simulator.set_faults(media_delay_seconds=600)
    hanging = asyncio.create_task(running.process.call(account.uid, "upload", arguments, 3.0))
    behind = asyncio.create_task(running.process.call(account.uid, "upload", arguments, 1.0))
    await running.process.send(account.uid, text(contact, "meanwhile"), 30)
    assert await rig.texts(contact, 1) == ["meanwhile"]
    await running.process.call(account.uid, "is_on_whatsapp", {"phones": [contact]})
    with pytest.raises(EngineRefused) as refused:
        await behind
    assert refused.value.code == "NotStarted"
    with pytest.raises(EngineUnresponsive):
        await hanging
    rig.simulator.clear_faults()
    assert (await running.process.call(account.uid, "upload", arguments))["file_length"] == 1000


async def test_a_question_that_is_not_answered_holds_up_neither_sends_nor_the_next_one(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    """neonize waits 75 seconds for each."""
    account, contact, running = await paired(rig, new_number)
    call, uid = running.process.call, account.uid
    await running.process.send(uid, text(contact, "knows the keys"), 30)
    rig.simulator.set_faults(ignore=["w:g2"], numbers=[account.number])
    with pytest.raises(EngineUnresponsive):
        await call(uid, "groups", {}, 1.0)
    with pytest.raises(EngineUncertain):
        await call(uid, "create_group", {"subject": "x", "participants": [jid(contact)]}, 1.0)
    await running.process.send(uid, text(contact, "meanwhile"), 30)
    assert await rig.texts(contact, 2) == ["knows the keys", "meanwhile"]
    await call(uid, "is_on_whatsapp", {"phones": [contact]})
    await running.process.ping(10)


async def test_many_questions_without_an_answer(rig: Rig, new_number: Callable[[], str]) -> None:
    account, _contact, running = await paired(rig, new_number)
    rig.simulator.set_faults(ignore=["w:g2"], numbers=[account.number])
    asked = 0
    for _ in range(8):
        with pytest.raises((EngineUnresponsive, EngineRefused)) as ended:
            await running.process.call(account.uid, "groups", {}, 0.5)
        if isinstance(ended.value, EngineRefused):
            assert ended.value.code == "NotStarted"
            break
        asked += 1
    assert asked == QUESTION_WITHOUT_ANSWER.of(rig.engine.kind)
    rig.simulator.clear_faults()
    await running.process.ping(30)


async def test_what_cannot_be_called(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact, running = await paired(rig, new_number)

    async def code(method: str, arguments: dict[str, Any], uid: str = account.uid) -> str:
        with pytest.raises(EngineRefused) as refused:
            await running.process.call(uid, method, arguments)
        return refused.value.code

    assert await code("levitate", {}) == "Unsupported"
    assert await code("mark_read", {}, uid="another") == "UnknownSession"
    assert await code("mark_read", {"chat": "nobody", "sender": jid(contact), "message_ids": ["a"]}) == "Invalid"
    assert await code("mark_read", {"chat": jid(contact), "sender": jid(contact), "message_ids": ["a b"]}) == "Invalid"
    assert await code("chat_presence", {"chat": jid(contact), "state": "levitating"}) == "Invalid"
    assert all(method.timeout_seconds < 75 for method in METHODS.values())


async def test_two_devices_of_one_account_share_a_process(rig: Rig, new_number: Callable[[], str]) -> None:
    """neonize would give both the same name, and the second would take the first one's events."""
    number, contact = new_number(), rig.contact(new_number())
    accounts = [rig.account(number), rig.account(f"{number}", folder="second")]
    for account in accounts:
        await (await rig.pair(account)).process.stop(20)
    running = await rig.spawn(*(account.session() for account in accounts))
    for account in accounts:
        await running.event(Connected, account.uid)
    await rig.say(contact, number, "to both")
    for account in accounts:
        (entry,) = await journal_entries(Reader(account.journal), 1)
        assert message_of(entry).text == "to both"
    for account in accounts:  # each sees what the other sends, too
        await running.process.send(account.uid, text(contact, f"from {account.uid}"), 30)
    assert set(await rig.texts(contact, 2)) == {f"from {account.uid}" for account in accounts}
