"""The laws of a session's life, held over every sequence of inputs that hypothesis can think of."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from whatsam_connector.sessions import effects, inputs
from whatsam_connector.sessions.effects import Effect
from whatsam_connector.sessions.inputs import Input, StopReason, Timer
from whatsam_connector.sessions.report import Report, report
from whatsam_connector.sessions.state import SessionState, Stage
from whatsam_connector.sessions.timings import SessionTimings, backoff
from whatsam_connector.sessions.transitions import CRASHES, step
from whatsam_connector.state import PrepareOutcome
from whatsam_connector.supervision.exits import ExitReason
from whatsam_core.resources.conditions import ConditionType, find_condition
from whatsam_core.resources.session import Handover, Phase

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TIMINGS = SessionTimings()
JID = "491511000001:1@s.whatsapp.net"
STARTABLE = (PrepareOutcome.FRESH, PrepareOutcome.RESTORED, PrepareOutcome.LOCAL)

WORDS: list[Input] = [
    inputs.CodeShown("2@qr", None, NOW + timedelta(minutes=1)),
    inputs.PasskeyAsked('{"challenge":"AA"}', NOW + timedelta(minutes=5)),
    inputs.PasskeyTaken("ABCD-EFGH", NOW + timedelta(minutes=2)),
    inputs.PasskeyTaken(None, NOW + timedelta(minutes=2)),
    inputs.PasskeyRequired(),
    inputs.PairingFailed("timeout", expired=True),
    inputs.PairingFailed("error", expired=False),
    inputs.DeviceLinked(JID, "491511000001", "Ann"),
    inputs.LoggedIn(JID, None),
    inputs.OfflineQueueDrained(),
    inputs.ConnectionLost("ConnectionLost"),
    inputs.ConnectRefused("SERVICE_UNAVAILABLE"),
    inputs.LoggedOutByPeer("LOGGED_OUT"),
    inputs.Replaced(),
    inputs.Banned("101", NOW + timedelta(hours=1)),
    inputs.EngineOutdated(),
    inputs.ProxyFailed("ProxyUnreachable", "the proxy cannot be reached"),
    inputs.JournalFull("the journal is full"),
    inputs.EngineMoves("consolidation"),
    inputs.Unanswered(),
]
FROM_OUTSIDE: list[Input] = [
    inputs.SoftFenced(),
    inputs.LeaseResumed(),
    *(inputs.Stop(reason) for reason in StopReason),
    inputs.SuccessorReady(ready=True),
    inputs.SuccessorReady(ready=True),
    inputs.SuccessorReady(ready=False),
    inputs.PairingAskedAnew(),
    inputs.ProxyChanged(),
    inputs.AssignmentLost(),
    inputs.AssignmentLost(keep_files=True),
]
TIMERS: list[Input] = [inputs.TimerFired(timer) for timer in Timer]


@dataclass
class World:
    """What really is: tells which answers can come, and checks each effect against it."""

    engine: bool = False
    spawning: bool = False
    preparing: bool = False
    flushing: bool = False
    releasing: bool = False
    logging_out: bool = False
    fenced: bool = False
    device_in_file: bool = False
    device_in_store: bool = False
    over: bool = False
    forgotten: int = 0
    spawned: int = 0

    @property
    def alive(self) -> bool:
        return self.engine or self.spawning

    def next(self, chance: Random) -> Input:
        """One of the inputs that can come now; what leads on is likelier than what ends everything."""
        can: list[list[Input]] = [TIMERS]
        if self.engine:
            can += [WORDS] * 6 + [[inputs.EngineGone("Panic")]]
        if self.spawning:
            can += [[inputs.EngineStarted()]] * 6 + [[inputs.EngineStartFailed("no", bad_file=chance.random() < 0.5)]]
        if self.preparing:
            jid = chance.choice([None, JID])
            can += [[inputs.PrepareEnded(outcome, jid) for outcome in STARTABLE]] * 6
            can += [[inputs.PrepareEnded(outcome) for outcome in PrepareOutcome if outcome not in STARTABLE]]
        if self.flushing:
            can += [[inputs.FlushEnded(None), inputs.FlushEnded("away")]] * 3
        if self.releasing:
            can += [[inputs.ReleaseEnded(Handover(epoch=3, seq=4, sha256="ab")), inputs.ReleaseEnded(None)]] * 3
        if self.logging_out:
            can += [[inputs.LogoutEnded(None), inputs.LogoutEnded("refused")]] * 3
        if chance.random() < 0.1:
            return chance.choice(FROM_OUTSIDE)
        return chance.choice(chance.choice(can))

    def happens(self, happened: Input) -> None:  # noqa: PLR0912  # one arm for each input
        """Keep the books."""
        match happened:
            case inputs.EngineStarted():
                self.spawning, self.engine = False, True
            case inputs.EngineStartFailed():
                self.spawning = False
            case inputs.EngineGone():
                self.engine = self.logging_out = False
            case inputs.PrepareEnded():
                self.preparing = False
                if happened.outcome in STARTABLE:
                    self.device_in_file = happened.jid is not None
                    self.device_in_store |= happened.outcome is PrepareOutcome.RESTORED
            case inputs.DeviceLinked() | inputs.LoggedIn():
                self.device_in_file = True
            case inputs.FlushEnded():
                self.flushing = False
                if happened.error is None and self.device_in_file:
                    self.device_in_store = True
            case inputs.ReleaseEnded():
                self.releasing = False
                if happened.handover is not None and self.device_in_file:
                    self.device_in_store = True
            case inputs.LogoutEnded():
                self.logging_out = False
            case inputs.SoftFenced():
                self.fenced = True
            case inputs.LeaseResumed():
                self.fenced = False
            case _:
                pass

    def asked(self, effect: Effect, state: SessionState) -> None:  # one arm for each effect
        """Check an effect and keep the books."""
        assert not self.over or isinstance(effect, effects.CancelTimer | effects.Forget), (effect, state)
        match effect:
            case effects.Spawn():
                assert not self.engine, "two engines"
                assert not self.spawning, "two engines"
                assert not self.fenced, "an engine started while fenced"
                self.spawning = True
                self.spawned += 1
            case effects.Prepare():
                assert not self.alive, "the file is replaced under an engine"
                self.preparing = True
            case effects.Release():
                assert not self.alive, "released with an engine"
                self.releasing = True
            case effects.Forget():
                assert not self.alive, "files deleted under an engine"
                self.forgotten += 1
                self.device_in_file = False
                self.flushing = self.releasing = False
            case effects.Flush():
                self.flushing = True
            case effects.LogOut():
                assert self.engine, "logged out without an engine"
                self.logging_out = True
            case _:
                pass


def check(state: SessionState, world: World, known: bool, told: Report) -> None:
    """What may be said and done in this state."""
    paired = find_condition(told.conditions, ConditionType.PAIRED)
    connected = find_condition(told.conditions, ConditionType.CONNECTED)
    assert paired is not None
    assert connected is not None
    if paired.status == "True":
        assert known or world.device_in_store, "Paired was said before the store had the device"
    if connected.status == "True":
        assert world.engine, "Connected was said without an engine"
        assert paired.status == "True"
        assert not state.fenced
    if state.may_send:
        assert world.engine
        assert not world.fenced
        assert state.stop is None
    if told.pairing is not None:
        assert world.engine
        assert told.phase is Phase.PAIRING
    stalled = find_condition(told.conditions, ConditionType.STALLED)
    ready = find_condition(told.conditions, ConditionType.READY)
    assert stalled is not None
    assert ready is not None
    assert not (stalled.status == "True" and ready.status == "True")


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_no_sequence_of_events_breaks_a_law(chance: Random, known: bool) -> None:
    state = SessionState(epoch=3, jid=JID if known else None, promised=known)
    world, now = World(), NOW
    happened: Input = inputs.Begin()
    for _ in range(40):
        now += timedelta(seconds=1)
        world.happens(happened)
        before = state
        state, wanted = step(state, happened, now, TIMINGS)
        if before.stop is None and state.stop is StopReason.HANDED_OVER and not isinstance(happened, inputs.Stop):
            assert before.successor or isinstance(happened, inputs.SuccessorReady), "let go for nobody"
            stored = isinstance(happened, inputs.FlushEnded) and happened.error is None
            assert stored or not world.alive, "let go before the store had the state"
        for effect in wanted:
            world.asked(effect, state)
        world.over = state.stage.final
        check(state, world, known, report(state))
        happened = world.next(chance)
    if state.stage is Stage.LOST and not world.engine and not world.spawning:
        assert world.forgotten >= 1


def drive(state: SessionState, *happened: Input) -> tuple[SessionState, list[Effect]]:
    every: list[Effect] = []
    for one in happened:
        state, wanted = step(state, one, NOW, TIMINGS)
        every += wanted
    return state, every


def fresh_pairing() -> SessionState:
    state, _ = drive(
        SessionState(epoch=1),
        inputs.Begin(),
        inputs.PrepareEnded(PrepareOutcome.FRESH),
        inputs.EngineStarted(),
        inputs.CodeShown("2@qr", None, NOW),
    )
    return state


def connected() -> SessionState:
    state, _ = drive(
        SessionState(epoch=1, jid=JID, promised=True),
        inputs.Begin(),
        inputs.PrepareEnded(PrepareOutcome.RESTORED, JID),
        inputs.EngineStarted(),
        inputs.LoggedIn(JID, None),
        inputs.OfflineQueueDrained(),
    )
    return state


def reason(state: SessionState, kind: ConditionType) -> tuple[str, str]:
    condition = find_condition(report(state).conditions, kind)
    assert condition is not None
    return condition.status, condition.reason


def test_a_scanned_device_is_stored_before_it_is_told() -> None:
    state, wanted = drive(fresh_pairing(), inputs.DeviceLinked(JID, "491511000001", None), inputs.LoggedIn(JID, None))
    assert effects.Flush() in wanted
    assert reason(state, ConditionType.PAIRED) == ("False", "StoringAuthState")
    assert report(state).jid is None
    state, _ = drive(state, inputs.FlushEnded(None))
    assert reason(state, ConditionType.PAIRED) == ("True", "Paired")
    assert report(state).phase is Phase.CONNECTED
    assert report(state).jid == JID


def test_a_store_that_is_away_delays_the_promise_and_nothing_else() -> None:
    state, wanted = drive(
        fresh_pairing(), inputs.DeviceLinked(JID, None, None), inputs.LoggedIn(JID, None), inputs.FlushEnded("away")
    )
    assert effects.StartTimer(Timer.FLUSH, TIMINGS.store_retry) in wanted
    assert not any(isinstance(effect, effects.EndEngine) for effect in wanted)
    state, wanted = drive(state, inputs.TimerFired(Timer.FLUSH), inputs.FlushEnded(None))
    assert wanted[0] == effects.Flush()
    assert state.stage is Stage.CONNECTED


def test_an_expired_code_is_followed_by_fresh_ones_at_once() -> None:
    state, wanted = drive(fresh_pairing(), inputs.PairingFailed("timeout", expired=True), inputs.EngineGone("x"))
    assert effects.StartTimer(Timer.RETRY, 0.0) in wanted
    state, wanted = drive(state, inputs.TimerFired(Timer.RETRY))
    assert wanted == [effects.Spawn(pairing=True)]


def test_a_panic_restarts_from_the_local_file_without_a_restore() -> None:
    state, wanted = drive(connected(), inputs.EngineGone("Panic"), inputs.TimerFired(Timer.RETRY))
    assert effects.StartTimer(Timer.RETRY, 0.0) in wanted
    assert wanted[-1] == effects.Spawn(pairing=False)
    assert reason(state, ConditionType.PAIRED)[0] == "True"


def test_a_second_panic_soon_after_waits() -> None:
    again, _ = drive(
        connected(),
        inputs.EngineGone("Panic"),
        inputs.TimerFired(Timer.RETRY),
        inputs.EngineStarted(),
        inputs.LoggedIn(JID, None),
    )
    _, wanted = drive(again, inputs.EngineGone("Panic"))
    assert effects.BackOff(2) in wanted


def test_a_planned_move_reconnects_at_once_and_is_no_failure() -> None:
    moving, wanted = drive(connected(), inputs.EngineMoves("consolidation"))
    assert effects.EndEngine(at_once=False) in wanted
    assert report(moving).phase is Phase.RECONNECTING
    assert reason(moving, ConditionType.CONNECTED) == ("False", "EngineMoves")
    moved, wanted = drive(moving, inputs.EngineGone("Clean"), inputs.TimerFired(Timer.RETRY))
    assert effects.StartTimer(Timer.RETRY, 0.0) in wanted
    assert wanted[-1] == effects.Spawn(pairing=False)
    assert moved.failures == 0


def test_a_deaf_session_gets_a_new_connection_with_growing_waits() -> None:
    state = connected()
    for failures in (1, 2, 3):
        deaf, wanted = drive(state, inputs.Unanswered())
        assert effects.EndEngine(at_once=False) in wanted
        assert report(deaf).phase is Phase.RECONNECTING
        assert reason(deaf, ConditionType.CONNECTED) == ("False", "KeepAliveTimeout")
        waiting, wanted = drive(deaf, inputs.EngineGone("Clean"))
        assert effects.BackOff(failures) in wanted
        state, _ = drive(waiting, inputs.TimerFired(Timer.RETRY), inputs.EngineStarted(), inputs.LoggedIn(JID, None))


def test_only_a_session_that_is_logged_in_can_be_deaf() -> None:
    away, _ = drive(connected(), inputs.ConnectionLost("ConnectionLost"))
    for state in (fresh_pairing(), away, drive(connected(), inputs.Stop(StopReason.STOPPED))[0]):
        assert drive(state, inputs.Unanswered()) == (state, [])


def test_a_full_journal_ends_the_engine_in_order_and_is_told_as_what_it_is() -> None:
    leaving, wanted = drive(connected(), inputs.JournalFull("the journal is full"))
    assert effects.EndEngine(at_once=False) in wanted
    assert reason(leaving, ConditionType.CONNECTED) == ("False", "JournalFull")


def test_nobody_is_moved_out_of_a_pairing_or_out_of_an_end() -> None:
    for state in (fresh_pairing(), drive(connected(), inputs.Stop(StopReason.STOPPED))[0]):
        assert drive(state, inputs.EngineMoves("memory")) == (state, [])


def test_a_session_makes_way_once_the_store_has_its_state() -> None:
    giving, wanted = drive(connected(), inputs.SuccessorReady(ready=True))
    assert wanted == [effects.Flush()]
    assert giving.may_send, "it works on meanwhile"
    gone, wanted = drive(giving, inputs.FlushEnded(None), inputs.EngineGone("Clean"))
    assert effects.EndEngine(at_once=False) in wanted
    assert wanted[-1] == effects.Release()
    handed, _ = drive(gone, inputs.ReleaseEnded(Handover(epoch=1, seq=7, sha256="ab")))
    assert handed.stage is Stage.HANDED_OVER
    assert report(handed).handover == Handover(epoch=1, seq=7, sha256="ab")
    assert report(handed).phase is Phase.RECONNECTING


def test_a_session_whose_state_does_not_reach_the_store_stays() -> None:
    state, wanted = drive(connected(), inputs.SuccessorReady(ready=True), inputs.FlushEnded("the store is away"))
    assert wanted[1:] == [effects.StartTimer(Timer.GIVE_WAY, TIMINGS.store_retry)]
    assert state.may_send
    state, wanted = drive(state, inputs.TimerFired(Timer.GIVE_WAY))
    assert wanted == [effects.Flush()]
    state, _ = drive(state, inputs.FlushEnded(None))
    assert state.stop is StopReason.HANDED_OVER


def test_a_session_stays_when_its_successor_is_gone_before_it_could_let_go() -> None:
    state, _ = drive(connected(), inputs.SuccessorReady(ready=True), inputs.SuccessorReady(ready=False))
    state, wanted = drive(state, inputs.FlushEnded(None))
    assert wanted == []
    assert state.may_send
    _, wanted = drive(state, inputs.SuccessorReady(ready=True))
    assert wanted == [effects.Flush()]


def test_nobody_makes_way_in_the_middle_of_something() -> None:
    for state in (
        fresh_pairing(),
        drive(connected(), inputs.SoftFenced())[0],
        drive(connected(), inputs.Stop(StopReason.LOGOUT))[0],
        SessionState(epoch=1),
    ):
        after, wanted = drive(state, inputs.SuccessorReady(ready=True))
        assert wanted == []
        assert after.stop is state.stop


def test_a_session_that_waits_for_its_next_try_makes_way_at_once() -> None:
    waiting, _ = drive(connected(), inputs.EngineGone("Panic"))
    assert waiting.stage is Stage.WAITING
    state, wanted = drive(waiting, inputs.SuccessorReady(ready=True))
    assert state.stage is Stage.CLOSING
    assert wanted[-1] == effects.Release() or effects.Release() in wanted


def test_a_missing_state_never_pairs_silently() -> None:
    state, wanted = drive(
        SessionState(epoch=1, jid=JID, promised=True), inputs.Begin(), inputs.PrepareEnded(PrepareOutcome.MISSING)
    )
    assert wanted == [effects.Prepare()]
    assert reason(state, ConditionType.STALLED) == ("True", "AuthStateMissing")
    assert report(state).phase is Phase.ERROR


def test_a_fence_ends_the_engine_and_the_lease_brings_it_back_without_a_restore() -> None:
    state, wanted = drive(connected(), inputs.SoftFenced())
    assert effects.EndEngine(at_once=False) in wanted
    assert not state.may_send
    state, wanted = drive(state, inputs.EngineGone("Clean"))
    assert state.stage is Stage.FENCED
    state, wanted = drive(state, inputs.LeaseResumed())
    assert wanted == [effects.Spawn(pairing=False)]


def test_a_lease_that_returns_before_the_engine_is_gone_restarts_it_at_once() -> None:
    _, wanted = drive(connected(), inputs.SoftFenced(), inputs.LeaseResumed(), inputs.EngineGone("Clean"))
    assert effects.StartTimer(Timer.RETRY, 0.0) in wanted
    assert not any(isinstance(effect, effects.BackOff) for effect in wanted)


def test_stopping_hands_over_exactly_what_was_stored() -> None:
    state, wanted = drive(connected(), inputs.Stop(StopReason.STOPPED), inputs.EngineGone("Clean"))
    assert wanted[-1] == effects.Release()
    handover = Handover(epoch=1, seq=9, sha256="ab")
    state, _ = drive(state, inputs.ReleaseEnded(handover))
    assert report(state).handover == handover
    assert report(state).phase is Phase.DISCONNECTED
    assert reason(state, ConditionType.READY) == ("True", "Stopped")


def test_a_handed_over_epoch_never_starts_again() -> None:
    state, _ = drive(
        connected(),
        inputs.Stop(StopReason.HANDED_OVER),
        inputs.EngineGone("Clean"),
        inputs.ReleaseEnded(Handover(epoch=1, seq=9, sha256="ab")),
    )
    after, wanted = drive(state, inputs.Begin(), inputs.LeaseResumed(), inputs.TimerFired(Timer.RETRY))
    assert after == state
    assert wanted == []


def test_deletion_with_logout_unlinks_first() -> None:
    state, wanted = drive(connected(), inputs.Stop(StopReason.LOGOUT))
    assert effects.LogOut() in wanted
    state, wanted = drive(state, inputs.LogoutEnded(None), inputs.EngineGone("Clean"))
    assert state.stage is Stage.HANDED_OVER
    assert report(state).phase is Phase.LOGGED_OUT
    assert reason(state, ConditionType.PAIRED) == ("False", "LoggedOut")
    assert effects.Forget() in wanted


def test_a_borrowed_worker_connects_a_session_only_to_log_it_out() -> None:
    state, wanted = drive(
        SessionState(epoch=4, jid=JID, promised=True),
        inputs.Stop(StopReason.LOGOUT),
        inputs.Begin(),
        inputs.PrepareEnded(PrepareOutcome.RESTORED, JID),
        inputs.EngineStarted(),
        inputs.LoggedIn(JID, None),
    )
    assert state.stage is Stage.LOGGING_OUT
    assert effects.LogOut() in wanted


def test_a_logout_that_cannot_be_done_is_given_up_and_said() -> None:
    state, _ = drive(
        SessionState(epoch=4, jid=JID, promised=True),
        inputs.Stop(StopReason.LOGOUT),
        inputs.Begin(),
        inputs.PrepareEnded(PrepareOutcome.RESTORED, JID),
        inputs.EngineStarted(),
        inputs.TimerFired(Timer.LOGOUT),
        inputs.EngineGone("Clean"),
        inputs.ReleaseEnded(Handover(epoch=4, seq=1, sha256="cd")),
    )
    assert state.stage is Stage.HANDED_OVER
    assert reason(state, ConditionType.PAIRED) == ("True", "LogoutFailed")


def doubting() -> tuple[SessionState, list[Effect]]:
    return drive(connected(), inputs.LoggedOutByPeer("LOGGED_OUT"), inputs.EngineGone("Killed"))


def logged_in_again(state: SessionState) -> SessionState:
    again, _ = drive(
        state,
        inputs.TimerFired(Timer.RETRY),
        inputs.PrepareEnded(PrepareOutcome.RESTORED, JID),
        inputs.EngineStarted(),
    )
    return again


def test_a_first_logout_is_doubted_and_the_stored_state_tried_once_more() -> None:
    state, wanted = doubting()
    assert effects.StartTimer(Timer.RETRY, TIMINGS.logout_doubt) in wanted
    assert not any(isinstance(effect, effects.Forget | effects.Flush | effects.Release) for effect in wanted)
    assert report(state).phase is Phase.RECONNECTING
    assert reason(state, ConditionType.CONNECTED) == ("False", "LogoutUnconfirmed")
    assert reason(state, ConditionType.PAIRED)[0] == "True"
    state, wanted = drive(state, inputs.TimerFired(Timer.RETRY))
    assert wanted == [effects.Prepare()], "the local file has lost its device"
    state = logged_in_again(doubting()[0])
    state, _ = drive(state, inputs.LoggedIn(JID, None))
    assert report(state).phase is Phase.CONNECTED


def test_a_session_that_is_to_end_doubts_no_logout() -> None:
    state, _ = drive(connected(), inputs.SoftFenced(), inputs.LoggedOutByPeer("LOGGED_OUT"))
    assert not state.doubted, "the last words of an engine that ends"


def test_bans_are_waited_for_with_growing_waits_and_in_the_end_a_person_must_look() -> None:
    state, waits = connected(), list[float]()
    for number in range(1, TIMINGS.most_bans):
        state, wanted = drive(state, inputs.Banned("101", NOW + timedelta(seconds=90)), inputs.EngineGone("Clean"))
        waits += [effect.seconds for effect in wanted if isinstance(effect, effects.StartTimer)]
        assert report(state).phase is Phase.DISCONNECTED
        assert reason(state, ConditionType.CONNECTED) == ("False", "TemporaryBan")
        assert reason(state, ConditionType.STALLED)[0] == "False"
        assert len(waits) == number
        state, _ = drive(state, inputs.TimerFired(Timer.RETRY), inputs.EngineStarted())
    assert waits == [90, 120, 240, 480, 960]
    state, _ = drive(state, inputs.Banned("101", None), inputs.EngineGone("Clean"))
    assert state.stage is Stage.HALTED
    assert reason(state, ConditionType.STALLED) == ("True", "TemporaryBan")


def test_the_end_of_a_ban_is_told() -> None:
    state, _ = drive(connected(), inputs.Banned("101", NOW + timedelta(hours=1)), inputs.EngineGone("Clean"))
    told = find_condition(report(state).conditions, ConditionType.CONNECTED)
    assert told is not None
    assert "until 2026-11-22 13:00:00 UTC" in (told.message or "")


def test_a_ban_without_an_end_is_never_waited_for_longer_than_an_hour() -> None:
    state, wanted = drive(
        replace(connected(), bans=TIMINGS.most_bans - 2), inputs.Banned("x", None), inputs.EngineGone("Clean")
    )
    waits = [effect.seconds for effect in wanted if isinstance(effect, effects.StartTimer)]
    assert waits == [min(TIMINGS.shortest_ban * 2 ** (TIMINGS.most_bans - 2), TIMINGS.longest_ban_wait)]
    assert state.stage is Stage.WAITING


def refused(state: SessionState, why: str) -> SessionState:
    after, _ = drive(
        state,
        inputs.ConnectRefused(why),
        inputs.EngineGone("Clean"),
        inputs.TimerFired(Timer.RETRY),
        inputs.EngineStarted(),
    )
    return after


def test_a_refusal_that_stays_stalls_and_an_outage_never_does() -> None:
    away = bad = connected()
    for _ in range(TIMINGS.most_refusals):
        away, bad = refused(away, "SERVICE_UNAVAILABLE"), refused(bad, "BAD_USER_AGENT")
    assert away.stage is Stage.CONNECTING
    assert bad.stage is Stage.HALTED
    assert reason(bad, ConditionType.STALLED) == ("True", "LoginRefused")


def test_a_session_that_was_connected_for_long_has_a_clean_record() -> None:
    state = replace(connected(), bans=3, refusals=3, doubted=True, failures=3)
    later = NOW + timedelta(seconds=TIMINGS.stable_after)
    state, _ = step(state, inputs.EngineGone("Panic"), later, TIMINGS)
    assert (state.bans, state.refusals, state.doubted) == (0, 0, False)


def test_logged_out_twice_keeps_the_stored_state_and_stalls() -> None:
    state, wanted = drive(
        logged_in_again(doubting()[0]), inputs.LoggedOutByPeer("LOGGED_OUT"), inputs.EngineGone("Killed")
    )
    assert effects.Forget() in wanted
    assert not any(isinstance(effect, effects.Flush | effects.Release) for effect in wanted)
    assert report(state).phase is Phase.LOGGED_OUT
    assert reason(state, ConditionType.STALLED) == ("True", "LoggedOut")


def test_a_replaced_session_stays_down_for_the_operator() -> None:
    state, _ = drive(connected(), inputs.Replaced(), inputs.EngineGone("Killed"))
    assert state.stage is Stage.HALTED
    assert report(state).phase is Phase.DISCONNECTED
    assert reason(state, ConditionType.CONNECTED) == ("False", "StreamReplaced")
    assert reason(state, ConditionType.STALLED)[0] == "False"
    assert report(state).handover is None


def test_a_newer_epoch_in_the_store_is_told_to_the_operator() -> None:
    state, _ = drive(
        SessionState(epoch=1, jid=JID, promised=True),
        inputs.Begin(),
        inputs.PrepareEnded(PrepareOutcome.EPOCH_BEHIND, store_epoch=7),
    )
    assert report(state).store_epoch == 7
    assert reason(state, ConditionType.RECONCILING) == ("True", "EpochBehindStore")


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0, max_value=1, exclude_max=True))
def test_backoff_grows_is_bounded_and_spreads(failures: int, chance: float) -> None:
    wait = backoff(failures, TIMINGS, chance)
    assert TIMINGS.first_backoff / 2 <= wait <= TIMINGS.longest_backoff
    assert backoff(failures + 1, TIMINGS, chance) >= wait


def crashed(state: SessionState, reason: str = "Panic", *, works_for: float | None = None) -> SessionState:
    """One more engine process: it starts, logs in if it is to work for a while, and ends."""
    happened: list[tuple[Input, float]] = [(inputs.TimerFired(Timer.RETRY), 0.0), (inputs.EngineStarted(), 0.0)]
    if works_for is not None:
        happened.append((inputs.LoggedIn(JID, None), 0.0))
    happened.append((inputs.EngineGone(reason), works_for or 0.0))
    for one, later in happened:
        state, _ = step(state, one, NOW + timedelta(seconds=later), TIMINGS)
    return state


def test_a_session_whose_engine_crashes_again_and_again_is_left_to_a_person() -> None:
    state, _ = drive(connected(), inputs.EngineGone("Panic"))
    for _ in range(TIMINGS.most_crashes - 2):
        state = crashed(state)
        assert state.stage is Stage.WAITING
    state = crashed(state)
    assert state.stage is Stage.HALTED
    assert report(state).phase is Phase.ERROR
    assert reason(state, ConditionType.STALLED) == ("True", "EngineCrashing")
    assert reason(state, ConditionType.PAIRED)[0] == "True"
    ended, wanted = drive(state, inputs.Stop(StopReason.STOPPED))
    assert ended.stage is Stage.CLOSING, "stopping it hands it over, so that it can begin afresh"
    assert effects.Release() in wanted


def test_crashes_of_an_engine_that_worked_for_a_while_are_normal_life() -> None:
    state, _ = drive(connected(), inputs.EngineGone("Panic"))
    for _ in range(3 * TIMINGS.most_crashes):
        state = crashed(state, works_for=TIMINGS.proven_after)
        assert state.stage is Stage.WAITING
        assert state.crashes == 0


def test_ends_that_are_no_crashes_are_tried_again_for_ever() -> None:
    state, _ = drive(connected(), inputs.EngineGone("Panic"))
    for ended in ("ConnectFailed", "Clean", "JournalFailed") * TIMINGS.most_crashes:
        state = crashed(state, ended)
        assert state.stage is Stage.WAITING


def test_the_names_of_crashes_are_those_of_the_supervisor() -> None:
    assert {reason.value for reason in ExitReason} > CRASHES
