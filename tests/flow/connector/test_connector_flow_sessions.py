"""A session on one connector, from assignment to handover, with fakes around it and in virtual time."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from connector_fakes import JID
from connector_rig import UID, Rig, connector
from connector_virtual import START, run, until

from whatsam_connector.assignments.leaving import Patience
from whatsam_connector.errors import ProxyUnusable
from whatsam_connector.sessions import inputs
from whatsam_connector.sessions.inputs import StopReason
from whatsam_connector.state import PrepareOutcome
from whatsam_connector.state.shipping import without_keys
from whatsam_connector.supervision import (
    Disconnected,
    EngineRefused,
    EngineStartFailed,
    ExitReason,
    LoggedOut,
    MoveReason,
    MoveWanted,
    PairingCodeShown,
    PairingEnd,
    PairingEnded,
    PasskeyConfirmationShown,
    PasskeyRequested,
    QrShown,
    StreamReplaced,
)
from whatsam_core.resources.conditions import ConditionType
from whatsam_core.resources.session import Phase


def reason(rig: Rig, kind: ConditionType) -> tuple[str, str]:
    condition = rig.status.status.condition(kind)
    assert condition is not None
    return condition.status, condition.reason


def test_a_new_session_is_scanned_stored_and_only_then_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.show_code()
            assert rig.status.status.pairing is not None
            assert rig.status.status.pairing.code == "2@secret"
            rig.state.away = True
            rig.scan(engine)
            await until(lambda: reason(rig, ConditionType.PAIRED) == ("False", "StoringAuthState"))
            await asyncio.sleep(30)
            assert rig.phase is Phase.PAIRING
            assert rig.status.status.jid is None
            assert rig.status.status.pairing is None
            rig.state.away = False
            await rig.reaches(Phase.CONNECTED)
            assert rig.status.status.jid == JID
            assert rig.status.status.phone_number == "491511000001"
            assert rig.status.status.push_name == "Ann"
            assert reason(rig, ConditionType.PAIRED) == ("True", "Paired")
            assert rig.room.engines == [engine]

    run(story())


def test_codes_are_refreshed_for_as_long_as_somebody_may_scan(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            first = await rig.show_code()
            first.say(QrShown(UID, "2@another", START + timedelta(minutes=2)))
            await until(lambda: "another" in str(rig.status.status.pairing))
            first.say(PairingEnded(UID, PairingEnd.TIMEOUT))
            first.ends(ExitReason.PAIRING_TIMEOUT)
            second = await rig.engine(2)
            assert second.session.pairing is not None
            second.say(QrShown(UID, "2@third", START + timedelta(minutes=3)))
            await until(lambda: "third" in str(rig.status.status.pairing))

    run(story())


def test_another_kind_of_code_is_asked_for_by_another_engine(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.show_code()
            rig.sessions.spec(pairing={"method": "Code", "phoneNumber": "491511000001"})
            second = await rig.engine(2)
            assert second.session.pairing is not None
            assert second.session.pairing.method == "Code"
            assert second.session.pairing.phone_number == "491511000001"
            second.say(PairingCodeShown(UID, "ABCD-EFGH", START + timedelta(minutes=3)))
            await until(lambda: "ABCD" in str(rig.status.status.pairing))
            shown = rig.status.status.pairing
            assert shown is not None
            assert shown.code is None

    run(story())


def test_a_passkey_is_asked_for_answered_and_confirmed(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.show_code()
            runner = rig.worker.runner(UID)
            assert runner is not None
            with pytest.raises(EngineRefused):
                await runner.call("lid", {}, 5)
            engine.say(PasskeyRequested(UID, '{"challenge":"AA"}', START + timedelta(minutes=5)))
            await until(lambda: reason(rig, ConditionType.PAIRED) == ("False", "AwaitingPasskey"))
            shown = rig.status.status.pairing
            assert shown is not None
            assert shown.passkey is not None
            assert shown.code is None
            assert shown.passkey.request == '{"challenge":"AA"}'
            assert rig.phase is Phase.PAIRING
            await runner.call("answer_passkey", {"response": {}}, 5)
            engine.say(PasskeyConfirmationShown(UID, "ABCD-EFGH", START + timedelta(minutes=2)))
            await until(lambda: reason(rig, ConditionType.CONNECTED) == ("False", "AwaitingConfirmation"))
            await runner.call("confirm_passkey", {}, 5)
            assert [method for _, method, _ in engine.asked] == ["answer_passkey", "confirm_passkey"]
            rig.scan(engine)
            await rig.reaches(Phase.CONNECTED)
            assert rig.status.status.pairing is None
            with pytest.raises(EngineRefused):
                await runner.call("answer_passkey", {"response": {}}, 5)

    run(story())


def test_an_engine_that_cannot_pass_a_passkey_on_says_which_one_can(tmp_path: Path) -> None:
    """It stays said beside the next code, until some phone has linked the device."""

    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.show_code()
            engine.say(PairingEnded(UID, PairingEnd.PASSKEY))
            engine.ends(ExitReason.PAIRING_FAILED)
            again = await rig.engine(2)
            again.say(QrShown(UID, "2@another", START + timedelta(minutes=2)))
            await until(lambda: "another" in str(rig.status.status.pairing))
            assert reason(rig, ConditionType.PAIRED) == ("False", "PasskeyRequired")
            condition = rig.status.status.condition(ConditionType.READY)
            assert condition is not None
            assert "engine whatsmeow" in condition.message
            rig.scan(again)
            await rig.reaches(Phase.CONNECTED)
            assert reason(rig, ConditionType.PAIRED) == ("True", "Paired")

    run(story())


def test_a_session_with_an_unreadable_file_looks_for_its_state_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.room.fail = [EngineStartFailed("DeviceMissing", "the file does not hold its device")]
            await rig.known_session()
            assert rig.state.calls.count("prepare 1") == 2

    run(story())


def test_a_crash_is_restarted_in_place_without_a_restore(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.ends(ExitReason.PANIC)
            await rig.reaches(Phase.RECONNECTING)
            again = await rig.engine(2)
            rig.log_in(again)
            await rig.reaches(Phase.CONNECTED)
            assert again.session.jid == JID
            assert rig.state.calls.count("prepare 1") == 1

    run(story())


def test_a_session_moves_to_another_process_and_its_messages_wait(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.say(MoveWanted(UID, MoveReason.CONSOLIDATION))
            again = await rig.engine(2)
            assert engine.calls == ["disconnect", "stop"]
            assert engine.exited.done()
            rig.log_in(again)
            await rig.reaches(Phase.CONNECTED)
            assert rig.room.living == [again]
            assert "prepare 1" in rig.state.calls
            assert rig.state.calls.count("prepare 1") == 1

    run(story())


def test_the_annotation_lets_a_session_be_debugged_and_takes_it_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            assert not engine.session.debug
            rig.sessions.annotate("whatsam.io/debug", "true")
            again = await rig.engine(2)
            assert again.session.debug
            rig.log_in(again)
            await rig.reaches(Phase.CONNECTED)
            rig.sessions.annotate("whatsam.io/debug", "false")
            last = await rig.engine(3)
            assert not last.session.debug

    run(story())


def test_a_lost_connection_that_does_not_come_back_gets_a_new_engine(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path, reconnect_limit=30.0) as rig:
            engine = await rig.known_session()
            engine.say(Disconnected(UID, "ConnectionLost"))
            await rig.reaches(Phase.RECONNECTING)
            rig.log_in(engine)
            await rig.reaches(Phase.CONNECTED)
            await asyncio.sleep(60)
            assert len(rig.room.engines) == 1
            engine.say(Disconnected(UID, "ConnectionLost"))
            await rig.engine(2)

    run(story())


def test_stopped_means_disconnected_stored_and_handed_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.sessions.spec(desiredState="Stopped")
            await until(lambda: rig.status.status.handover is not None)
            assert engine.calls[0] == "disconnect"
            assert rig.status.status.handover is not None
            assert rig.status.status.handover.epoch == 1
            assert rig.phase is Phase.DISCONNECTED
            assert reason(rig, ConditionType.READY) == ("True", "Stopped")
            rig.sessions.unassign()
            await until(lambda: len(rig.worker) == 0)
            assert rig.state.calls[-1] == "forget"

    run(story())


def test_deletion_with_logout_unlinks_the_device(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.sessions.objects["s1"]["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
            rig.sessions.spec(deletionPolicy="Logout")
            await rig.reaches(Phase.LOGGED_OUT)
            await until(lambda: rig.status.status.handover is not None)
            assert "logout" in engine.calls
            assert reason(rig, ConditionType.PAIRED) == ("False", "LoggedOut")

    run(story())


def test_an_assignment_that_goes_elsewhere_stops_at_once_and_writes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            await asyncio.sleep(5)
            written = len(rig.sessions.patches)
            rig.sessions.put(epoch=2, boot="another")
            await until(lambda: len(rig.worker) == 0)
            assert engine.calls == ["kill"]
            assert len(rig.sessions.patches) == written
            assert "forget" in rig.state.calls

    run(story())


def test_a_new_epoch_on_the_same_boot_starts_after_the_old_one_is_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            first = await rig.known_session()
            rig.sessions.put(epoch=2)
            second = await rig.engine(2)
            assert first.exited.done()
            assert "prepare 2" in rig.state.calls
            assert "forget" not in rig.state.calls
            rig.log_in(second)
            await rig.reaches(Phase.CONNECTED)

    run(story())


def test_a_replaced_session_waits_for_the_operator(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.say(StreamReplaced(UID))
            await rig.reaches(Phase.DISCONNECTED)
            await asyncio.sleep(300)
            assert rig.room.living == []
            assert len(rig.room.engines) == 1
            assert rig.status.status.handover is None
            assert reason(rig, ConditionType.CONNECTED) == ("False", "StreamReplaced")

    run(story())


def test_logged_out_is_doubted_once_keeps_the_store_and_stalls(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            stored = rig.state.seq
            engine.say(LoggedOut(UID, "LOGGED_OUT", on_connect=True))
            await until(lambda: len(rig.room.engines) == 2)
            rig.room.engines[1].say(LoggedOut(UID, "LOGGED_OUT", on_connect=True))
            await rig.reaches(Phase.LOGGED_OUT)
            await asyncio.sleep(300)
            assert rig.state.seq == stored
            assert len(rig.room.engines) == 2
            assert reason(rig, ConditionType.STALLED) == ("True", "LoggedOut")

    run(story())


def test_a_missing_state_stalls_and_never_asks_for_a_scan(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.state.outcome = PrepareOutcome.MISSING
            rig.sessions.put(jid=JID)
            await rig.reaches(Phase.ERROR)
            await asyncio.sleep(300)
            assert rig.room.engines == []
            assert reason(rig, ConditionType.STALLED) == ("True", "AuthStateMissing")
            assert rig.sessions.warnings == []  # what its conditions say is told by the operator

    run(story())


def test_a_key_that_the_ring_lacks_is_said_and_nothing_starts(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.state.outcome = PrepareOutcome.KEY_MISSING
            rig.sessions.put(jid=JID)
            await rig.reaches(Phase.ERROR)
            assert rig.room.engines == []
            assert reason(rig, ConditionType.STALLED) == ("True", "KeyringLacksKey")
            assert rig.status.status.jid == JID

    run(story())


def test_an_older_state_that_had_to_do_is_told_with_a_warning(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.state.fell_back = "restored base 3: 2 newer states are lost"
            await rig.known_session()
            ((said, text),) = rig.sessions.warnings
            assert said == "OlderStateRestored"
            assert "2 newer states are lost" in text

    run(story())


def test_a_store_that_takes_nothing_shows_in_the_condition_since_when_and_is_written_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            await until(lambda: reason(rig, ConditionType.REPLICATED) == ("True", "Replicated"))
            for attempt in range(5):
                await asyncio.sleep(10)
                text = f"put i/auth/whatsam/s1/e1-boot1/base-{attempt}: no answer in time"
                rig.worker.replication_trouble(UID, without_keys(text))
            behind = rig.status.status.condition(ConditionType.REPLICATED)
            assert behind is not None
            assert (behind.status, behind.reason) == ("False", "Behind")
            assert behind.message.endswith("put the state: no answer in time")
            assert behind.last_transition_time is not None
            assert (behind.last_transition_time - START).total_seconds() < 30
            assert sum("put the state" in str(patch) for patch in rig.sessions.patches) == 1
            assert rig.phase is Phase.CONNECTED  # it works on: how much it may send is its credit's business
            assert rig.room.engines == [engine]
            rig.worker.replication_trouble(UID, None)
            await until(lambda: reason(rig, ConditionType.REPLICATED) == ("True", "Replicated"))

    run(story())


def test_a_store_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.state.away = True
            rig.sessions.put(jid=JID)
            await until(lambda: reason_or_none(rig) == "ObjectStoreUnreachable")
            assert rig.phase is Phase.RECONNECTING
            await asyncio.sleep(60)
            rig.state.away = False
            rig.state.outcome, rig.state.jid = PrepareOutcome.RESTORED, JID
            await rig.engine(1)

    run(story())


def reason_or_none(rig: Rig) -> str | None:
    condition = rig.status.status.condition(ConditionType.RECONCILING)
    return condition.reason if condition is not None else None


def test_draining_hands_everything_over_in_parallel(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            rig.sessions.put("s2")
            await rig.engine(2)
            started = asyncio.get_running_loop().time()
            await rig.worker.hand_over(Patience(named=0.0, last_call=30.0))
            assert asyncio.get_running_loop().time() - started < 10
            for name in ("s1", "s2"):
                assert rig.sessions.session(name).status.handover is not None
            assert rig.room.living == []
            assert rig.phase is Phase.RECONNECTING
            rig.sessions.put("s3")
            await asyncio.sleep(5)
            assert len(rig.room.engines) == 2

    run(story())


def test_a_status_that_cannot_be_written_is_written_when_the_api_server_is_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.sessions.away = True
            engine.ends(ExitReason.PANIC)
            again = await rig.engine(2)
            await asyncio.sleep(8)
            rig.log_in(again)
            await asyncio.sleep(20)
            rig.sessions.away = False
            await until(lambda: rig.status.status.last_connected_at != START and rig.phase is Phase.CONNECTED)
            assert reason(rig, ConditionType.CONNECTED) == ("True", "Connected")

    run(story())


def test_somebody_elses_write_is_respected(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            # The operator writes at the same time: a condition of its own, under a newer resourceVersion.
            scheduled = {"type": "Scheduled", "status": "True", "reason": "Assigned", "message": "here"}
            rig.sessions.put(conditions=[scheduled, *rig.sessions.objects["s1"]["status"]["conditions"]])
            engine.ends(ExitReason.PANIC)
            await rig.reaches(Phase.RECONNECTING)
            kinds = [condition.type for condition in rig.status.status.conditions]
            assert kinds.count(ConditionType.SCHEDULED) == 1
            for patch in rig.sessions.patches:
                assert not {"epoch", "assignment", "next"} & set(patch["status"])

    run(story())


def test_every_stop_reason_ends_without_an_engine(tmp_path: Path) -> None:
    async def story(why: StopReason) -> None:
        async with connector(tmp_path / why.value) as rig:
            await rig.show_code()
            runner = rig.worker.runner(UID)
            assert runner is not None
            runner.push(inputs.Stop(why))
            async with asyncio.timeout(30):
                await runner.handed_over()
            assert rig.room.living == []
            assert rig.status.status.handover is not None

    for why in StopReason:
        run(story(why))


def test_a_dead_proxy_is_a_condition_and_no_engine_is_spent_on_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.proxies.trouble = ProxyUnusable("ProxyUnreachable", "the proxy cannot be reached")
            rig.state.outcome, rig.state.jid = PrepareOutcome.RESTORED, JID
            rig.sessions.put(jid=JID)
            rig.sessions.spec(proxySecretRef={"name": "out", "key": "url"})
            await until(lambda: "ProxyUnreachable" in {one.reason for one in rig.status.status.conditions})
            assert reason(rig, ConditionType.CONNECTED) == ("False", "ProxyUnreachable")
            await asyncio.sleep(300)
            assert rig.room.engines == []
            assert 2 <= len(rig.proxies.asked) < 100
            rig.proxies.trouble = None
            engine = await rig.engine(1)
            assert engine.session.proxy == "socks5://user:password@out:1080"
            rig.log_in(engine)
            await rig.reaches(Phase.CONNECTED)

    run(story())


def test_another_proxy_means_another_engine(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            assert engine.session.proxy is None
            rig.sessions.spec(proxySecretRef={"name": "out", "key": "url"})
            again = await rig.engine(2)
            assert again.session.proxy == "socks5://user:password@out:1080"
            assert rig.room.living == [again]

    run(story())


def test_a_proxy_that_dies_is_named_while_the_session_waits_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.sessions.spec(proxySecretRef={"name": "out", "key": "url"})
            engine = await rig.engine(2)
            rig.log_in(engine)
            await rig.reaches(Phase.CONNECTED)
            rig.proxies.trouble = ProxyUnusable("ProxyUnreachable", "the proxy cannot be reached")
            engine.say(Disconnected(UID, "ConnectionLost"))
            await until(lambda: reason(rig, ConditionType.CONNECTED) == ("False", "ProxyUnreachable"))
            assert rig.room.living == [engine]
            rig.proxies.trouble = None
            rig.log_in(engine)
            await rig.reaches(Phase.CONNECTED)
            assert reason(rig, ConditionType.CONNECTED)[0] == "True"

    run(story())
