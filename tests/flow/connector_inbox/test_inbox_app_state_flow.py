"""What somebody does on the phone, seen by the engine in Go and found in the tables; neonize tells nothing of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from connector_engines import Kind
from connector_inbox_rig import InboxRig

from whatsam_connector.content.schema import SyncActionValue
from whatsam_connector.messages.batch import FOR_EVER


@pytest.fixture
def kind() -> Kind:
    return Kind.WHATSMEOW


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


async def on_phone(rig: InboxRig, **change: Any) -> None:
    await rig.do(rig.simulator.change_chat, rig.own, rig.ada, **change)


async def chat(rig: InboxRig, where: str) -> dict[str, Any]:
    (row,) = await rig.rows(f"select * from chats where session = $1 and ({where})")  # noqa: S608 - a test's own words
    return row


async def started(rig: InboxRig) -> str:
    """A session with a chat; the id of its message."""
    await rig.start()
    wa_id = await rig.do(rig.simulator.say, rig.ada, rig.own, "hello")
    await rig.row(wa_id)
    return wa_id


async def test_the_list_of_chats_follows_the_phone(rig: InboxRig) -> None:
    await started(rig)
    until = datetime(2030, 1, 1, tzinfo=UTC)
    await on_phone(rig, pinned=True)
    assert (await chat(rig, "pinned_at is not null"))["contact"] == f"{rig.ada}@s.whatsapp.net"
    await on_phone(rig, archived=True)
    await chat(rig, "archived and pinned_at is null")
    await on_phone(rig, archived=False)
    await chat(rig, "not archived")
    await on_phone(rig, muted=True, muted_until=milliseconds(until))
    assert (await chat(rig, "muted_until is not null"))["muted_until"] == until
    await on_phone(rig, muted=True)
    await chat(rig, f"muted_until = '{FOR_EVER.isoformat()}'")
    await on_phone(rig, muted=False)
    await chat(rig, "muted_until is null")
    assert (await chat(rig, "true"))["unread"] == 1
    await on_phone(rig, read=True)
    await chat(rig, "unread = 0 and not marked_unread")
    await on_phone(rig, read=False)
    await chat(rig, "marked_unread")
    kinds = await rig.sql.fetch("select kind from events where session = $1", rig.session)
    assert [kind["kind"] for kind in kinds] == ["message.received"]


async def test_names_of_the_address_book(rig: InboxRig) -> None:
    await started(rig)
    await on_phone(rig, contact_name="Ada Lovelace")
    (known,) = await rig.rows("select * from contacts where session = $1 and full_name = 'Ada Lovelace'")
    assert known["phone"] == rig.ada
    await on_phone(rig, contact_name="Ada King")
    await rig.rows("select * from contacts where session = $1 and full_name = 'Ada King'")


async def test_a_chat_that_is_cleared_or_deleted_keeps_its_messages(rig: InboxRig) -> None:
    await started(rig)
    await on_phone(rig, cleared=True)
    await chat(rig, "last_message_id is null and unread = 0")
    await on_phone(rig, deleted=True)
    await rig.rows("select 1 where not exists (select from chats where session = $1)")
    assert len(await rig.summary()) == 1
    await rig.do(rig.simulator.say, rig.ada, rig.own, "again")
    assert (await chat(rig, "last_message_id is not null"))["unread"] == 1


async def test_a_message_deleted_on_the_phone(rig: InboxRig) -> None:
    wa_id = await started(rig)
    index = ["deleteMessageForMe", f"{rig.ada}@s.whatsapp.net", wa_id, "0", "0"]
    value = SyncActionValue(timestamp=milliseconds(datetime.now(UTC))).SerializeToString()
    await rig.do(rig.simulator.change_app_state, rig.own, "regular_high", index, value, version=3)
    assert (await rig.row(wa_id, "deleted_at is not null"))["body"] == {}
    (told,) = await rig.rows("select body from events where session = $1 and kind = 'message.deleted'")
    assert (told["body"]["waId"], told["body"]["forMe"]) == (wa_id, True)


async def test_what_was_so_before_pairing_is_there_and_nobody_is_told(rig: InboxRig) -> None:
    other = f"{rig.ada[:-3]}999"
    first = await rig.engines.pair(rig.engines.account(rig.own, folder="another device"))  # the phone shares its keys
    await on_phone(rig, contact_name="Ada Lovelace")
    await on_phone(rig, pinned=True)
    await on_phone(rig, archived=True)
    long_ago = milliseconds(datetime.now(UTC) - timedelta(days=400))
    for index, said in (
        (["mute", f"{other}@s.whatsapp.net"], {"muteAction": {"muted": True, "muteEndTimestamp": -1}}),
        (["deleteChat", f"{other}@s.whatsapp.net", "0"], {}),
    ):
        value = SyncActionValue(timestamp=long_ago, **said).SerializeToString()
        await rig.do(rig.simulator.change_app_state, rig.own, "regular_high", index, value, version=2)
    await rig.start()
    await chat(rig, f"contact = '{rig.ada}@s.whatsapp.net' and archived and pinned_at is null")
    await chat(rig, f"contact = '{other}@s.whatsapp.net' and muted_until is not null")
    await rig.rows("select * from contacts where session = $1 and full_name = 'Ada Lovelace'")
    assert await rig.sql.fetchval("select count(*) from events where session = $1", rig.session) == 0
    first.process.kill()


async def test_what_we_do_ourselves_comes_back_and_changes_nothing(rig: InboxRig) -> None:
    await started(rig)
    address = f"{rig.ada}@s.whatsapp.net"

    async def archive() -> bool:
        await rig.running.process.call(rig.account.uid, "archive", {"chat": address, "archived": True})
        return True

    await rig.until(archive)
    await chat(rig, "archived")
    assert rig.counts.get("app_state", 0) >= 1
