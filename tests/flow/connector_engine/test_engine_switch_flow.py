"""One file, two engines: a session goes from one to the other and back; a schema that is too new is refused."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable

import pytest
from connector_engine_rig import Account, Rig, journal_entries, message_of, text
from connector_engines import Engine, Kind

from whatsam_connector.engine.events import Connected, ConnectFailure, OfflineDrained, QrShown
from whatsam_connector.journal import Reader
from whatsam_connector.state.prepare import SUPPORTED_SCHEMA
from whatsam_connector.supervision import PairingRequest
from whatsam_connector.supervision.exits import ExitReason


def schema(account: Account, version: int | None = None, compat: int | None = None) -> tuple[int, int]:
    """Version and compatible version of the file's schema; written first when they are given."""
    with contextlib.closing(sqlite3.connect(account.database)) as file, file:
        if version is not None:
            file.execute("update whatsmeow_version set version = ?, compat = ?", (version, compat))
        return file.execute("select version, compat from whatsmeow_version").fetchone()


async def test_a_session_goes_from_one_engine_to_the_other_and_back(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    violations = await asyncio.to_thread(rig.simulator.violations)
    reused = await asyncio.to_thread(lambda: rig.simulator.counters(reused=True))
    other = Engine.of(Kind.WHATSMEOW if rig.engine.kind is Kind.NEONIZE else Kind.NEONIZE)
    running = await rig.pair(account)
    journal, said, sent = Reader(account.journal), list[str](), list[str]()
    engines = [running.process.engine_version]
    for engine in (other, rig.engine, other, rig.engine):
        assert (await running.process.stop(20)).reason is ExitReason.CLEAN
        said.append(f"while nobody is there, before {len(said)}")
        await rig.say(contact, account.number, said[-1])
        running = await rig.spawn(account.session(), engine=engine)
        await running.event(Connected)
        await running.event(OfflineDrained)
        engines.append(running.process.engine_version)
        sent.append(f"from {len(sent)}")
        await running.process.send(account.uid, text(contact, sent[-1]), 30)
        said.append(f"to {len(said)}")
        await rig.say(contact, account.number, said[-1])
    own, others = rig.engine.kind.value, other.kind.value
    assert [engine.partition("-")[0] for engine in engines] == [own, others, own, others, own]
    assert await rig.texts(contact, len(sent)) == sent
    arrived = [message_of(entry) for entry in await journal_entries(journal, len(said))]
    assert [message.text for message in arrived] == said
    assert await asyncio.to_thread(rig.simulator.violations) == violations
    assert await asyncio.to_thread(lambda: rig.simulator.counters(reused=True)) == reused


@pytest.mark.only_engine("whatsmeow", reason="with neonize the connector looks at the schema before it starts it")
async def test_a_schema_that_the_engine_does_not_know_is_refused_and_left_alone(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    account = rig.account(new_number())
    session = account.session(PairingRequest("QR"))
    running = await rig.spawn(session)
    await running.event(QrShown)
    await running.process.stop(20)
    known, compatible = schema(account)
    assert known == SUPPORTED_SCHEMA

    schema(account, known + 1, compatible)
    running = await rig.spawn(session)
    await running.event(QrShown)
    await running.process.stop(20)
    assert schema(account) == (known + 1, compatible), "newer, and it says that this engine may use it"

    schema(account, known + 1, known + 1)
    running = await rig.spawn(session)
    assert "schema version" in (await running.event(ConnectFailure)).reason
    assert (await running.exit()).reason is ExitReason.CONNECT_FAILED
    assert schema(account) == (known + 1, known + 1)
