"""Messages go out with an honest outcome, and what comes in is in the journal before anything else happens to it."""

import asyncio
from collections.abc import Callable

import pytest
from connector_engine_rig import Rig, journal_entries, message_of, text
from engine_differences import PHONE_IS_ASKED, SEND_WITHOUT_ANSWER

from whatsam_connector.journal import InboundReceipt, InboundUndecryptable, Reader, ReceiptKind
from whatsam_connector.supervision import (
    EngineRefused,
    EngineUncertain,
    ExitReason,
    JournalAdvanced,
    OutgoingMessage,
    RetryRequested,
)


async def test_to_a_number_a_jid_a_lid_and_a_group(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    lid = rig.simulator.contact(contact).lid
    running = await rig.pair(account)
    send = running.process.send
    results = [
        await send(account.uid, text(f"+{contact}", "number 👋"), 30),
        await send(account.uid, text(f"{contact}@s.whatsapp.net", "jid"), 30),
        await send(account.uid, text(lid if "@" in lid else f"{lid}@lid", "see https://example.invalid/page"), 30),
    ]
    assert len({result.wa_id for result in results}) == 3
    assert await rig.texts(contact, 3) == ["number 👋", "jid", "see https://example.invalid/page"]
    group = rig.simulator.create_group(contact, [account.number])
    await send(account.uid, text(group.id if "@" in group.id else f"{group.id}@g.us", "to all"), 30)
    assert (await rig.texts(contact, 4))[3] == "to all"


async def test_what_arrives_is_in_the_journal(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    wa_id = await rig.say(contact, account.number, "hello")
    reader = Reader(account.journal)
    (entry,) = await journal_entries(reader, 1)
    message = message_of(entry)
    assert (message.wa_id, message.text, message.type) == (wa_id, "hello", "text")
    assert message.chat.endswith("@lid")
    assert (message.chat_phone, message.sender_phone) == (contact, contact)
    assert not message.from_me
    assert not message.group
    assert b"hello" in message.raw
    advanced = [event for event in running.events if isinstance(event, JournalAdvanced)]
    while not advanced or advanced[-1].position < entry.position:
        advanced.append(await running.event(JournalAdvanced, nth=len(advanced) + 1))
    assert advanced[-1].at > 0


async def test_a_receipt_moves_the_journal_but_not_the_barrier(rig: Rig, new_number: Callable[[], str]) -> None:
    """A receipt changes no key: a barrier that waited for a replica of it would wait for ever."""
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    await rig.say(contact, account.number, "first")
    (first,) = await journal_entries(Reader(account.journal), 1)
    count = sum(isinstance(event, JournalAdvanced) for event in running.events)
    before = max(event.at for event in running.events if isinstance(event, JournalAdvanced))
    result = await running.process.send(account.uid, text(contact, "answer"), 30)
    while True:
        count += 1
        event = await running.event(JournalAdvanced, nth=count)
        if event.position > first.position:
            break
    reader = Reader(account.journal)
    receipts = [entry.record for entry in reader if isinstance(entry.record, InboundReceipt)]
    assert (receipts[-1].wa_ids, receipts[-1].kind) == ((result.wa_id,), ReceiptKind.DELIVERED)
    assert receipts[-1].chat_phone == contact
    assert event.at == before


async def test_a_first_group_message_comes_once_and_own_messages_are_marked(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    await rig.pair(account)
    group = rig.simulator.create_group(contact, [account.number])
    for number in range(2):
        await asyncio.to_thread(rig.simulator.say_to_group, contact, group.id, f"group {number}")
    await rig.say(account.number, contact, "from my own phone")
    reader = Reader(account.journal)
    messages = [message_of(entry) for entry in await journal_entries(reader, 3)]
    assert [message.text for message in messages] == ["group 0", "group 1", "from my own phone"]
    assert [message.group for message in messages] == [True, True, False]
    assert [message.from_me for message in messages] == [False, False, True]
    assert messages[0].chat.endswith("@g.us")
    assert messages[0].chat_phone is None
    assert messages[0].sender_phone == contact
    assert messages[2].chat == messages[0].sender


async def test_keys_that_the_phone_shares_are_nobodys_message(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    await rig.pair(account)
    await asyncio.to_thread(rig.simulator.share_app_state_keys, account.number)
    await rig.say(contact, account.number, "after the keys")
    (entry,) = await journal_entries(Reader(account.journal), 1)
    assert message_of(entry).text == "after the keys"


async def test_a_damaged_message_is_noted_and_comes_again(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    await rig.pair(account)
    rig.simulator.set_faults(damage_messages=1, numbers=[account.number])
    wa_id = await rig.say(contact, account.number, "twice")
    entries = await journal_entries(Reader(account.journal), 1 + PHONE_IS_ASKED.of(rig.engine.kind))
    messages = [message_of(entry) for entry in entries]
    assert {(message.wa_id, message.text) for message in messages} == {(wa_id, "twice")}
    by_phone = [message.resent_by_phone for message in messages]
    assert sorted(by_phone) == [False, *([True] if PHONE_IS_ASKED.of(rig.engine.kind) else [])]
    damaged = [entry.record for entry in Reader(account.journal) if isinstance(entry.record, InboundUndecryptable)]
    assert [record.wa_id for record in damaged] == [wa_id]


async def test_a_contact_that_cannot_read_asks_again(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    rig.simulator.set_faults(unreadable_at_contacts=1)
    result = await running.process.send(account.uid, text(contact, "again please"), 30)
    retry = await running.event(RetryRequested)
    assert retry.message_ids == (result.wa_id,)
    assert await rig.texts(contact, 1) == ["again please"]


async def test_refusals_say_that_nothing_was_sent(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    send = running.process.send

    async def code(message: OutgoingMessage, uid: str = account.uid) -> str:
        with pytest.raises(EngineRefused) as refused:
            await send(uid, message, 30)
        return refused.value.code

    assert await code(text(contact, "x"), uid="another") == "UnknownSession"
    assert await code(text("120363000000000000@g.us", "x")) == "NotSent"
    rig.simulator.set_faults(message_error=463)
    assert await code(text(contact, "x")) == "ServerRefused"
    rig.simulator.clear_faults()
    await send(account.uid, text(contact, "delivered"), 30)
    assert await rig.texts(contact, 1) == ["delivered"]


async def test_a_send_without_answer_is_uncertain_and_the_one_behind_it_is_not_sent(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    await running.process.send(account.uid, text(contact, "knows the keys"), 30)
    rig.simulator.set_faults(ignore=["message"], numbers=[account.number])
    first = asyncio.create_task(running.process.send(account.uid, text(contact, "no answer"), 2.0))
    second = asyncio.create_task(running.process.send(account.uid, text(contact, "never begun"), 1.0))
    with pytest.raises(EngineUncertain):
        await first
    with pytest.raises(EngineRefused) as refused:
        await second
    assert refused.value.code == "NotStarted"


async def test_what_comes_behind_a_send_without_answer(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    await running.process.send(account.uid, text(contact, "knows the keys"), 30)
    rig.simulator.set_faults(ignore=["message"], numbers=[account.number])
    with pytest.raises(EngineUncertain):
        await running.process.send(account.uid, text(contact, "no answer"), 1.0)
    rig.simulator.clear_faults()
    refusal = SEND_WITHOUT_ANSWER.of(rig.engine.kind)
    if refusal is None:
        await running.process.send(account.uid, text(contact, "behind it"), 30)
        assert (await rig.texts(contact, 2))[-1] == "behind it"
        return
    with pytest.raises(EngineRefused) as refused:
        await running.process.send(account.uid, text(contact, "behind it"), 2.0)
    assert refused.value.code == refusal


async def test_a_send_whose_engine_dies_is_uncertain_and_one_after_its_end_is_refused(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    rig.simulator.set_faults(ignore=["message", "usync"], numbers=[account.number])
    sending = asyncio.create_task(running.process.send(account.uid, text(contact, "x"), 60))
    await running.process.ping(30)  # the request before it has been read
    running.process.kill()
    with pytest.raises(EngineUncertain):
        await sending
    assert (await running.exit()).reason is ExitReason.KILLED
    with pytest.raises(EngineRefused) as refused:
        await running.process.send(account.uid, text(contact, "x"), 5)
    assert refused.value.code == "EngineGone"


async def test_messages_of_the_time_away_are_drained_in_order(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    first = await rig.pair(account)
    await first.process.stop(20)
    for number in range(5):
        await rig.say(contact, account.number, f"away {number}")
    await rig.resume(account)
    entries = await journal_entries(Reader(account.journal), 5)
    assert [message_of(entry).text for entry in entries] == [f"away {number}" for number in range(5)]


async def test_an_engine_killed_before_the_acknowledgement_loses_nothing_of_its_journal(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    for number in range(6):
        await rig.say(contact, account.number, f"m{number}")
    reader = Reader(account.journal)
    entries = await journal_entries(reader, 6)
    running.process.kill()
    await running.exit()
    reader.acknowledge(entries[2].position)

    again = await rig.resume(account)
    await rig.say(contact, account.number, "m6")
    fresh = Reader(account.journal)  # as after a restart of the connector
    entries = await journal_entries(fresh, 4)
    assert [message_of(entry).text for entry in entries] == ["m3", "m4", "m5", "m6"]
    assert again.process.pid != running.process.pid


async def test_a_stop_in_a_burst_leaves_every_acknowledged_message_in_the_journal(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    """What WhatsApp was told to have arrived is in the journal; the rest comes after the next start."""
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    total = 60
    burst = asyncio.create_task(
        asyncio.to_thread(lambda: [rig.simulator.say(contact, account.number, f"b{n}") for n in range(total)])
    )
    await running.event(JournalAdvanced, nth=2)
    assert (await running.process.stop(30)).reason is ExitReason.CLEAN
    await burst
    await rig.resume(account)
    reader = Reader(account.journal)
    texts: dict[str, str | None] = {}
    while len(texts) < total:
        for message in map(message_of, await journal_entries(reader, 1)):
            # One that was kept just when the connection went comes again: WhatsApp had no word of it.
            texts.setdefault(message.wa_id, message.text)
    assert list(texts.values()) == [f"b{n}" for n in range(total)]
