"""One session under one epoch on one boot: `transitions.step` decides, this carries out what it asks for.

The counterpart of production's `SessionRunner` and `StatusWriter`, without tasks: every wait is an event of the world.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from safety_api import Writer
from safety_engine import Engine
from safety_state import Preparation, Shipper
from safety_wire import Failure, Missing

from whatsam_connector.sessions import effects, inputs
from whatsam_connector.sessions.inputs import Input, StopReason, Timer
from whatsam_connector.sessions.report import Report, report
from whatsam_connector.sessions.state import SessionState, Stage
from whatsam_connector.sessions.status_patch import Holder, status_patch
from whatsam_connector.sessions.timings import SessionTimings, backoff
from whatsam_connector.state.credit import CreditVerdict, SendCredit
from whatsam_connector.state.records import STARTABLE, PrepareOutcome
from whatsam_core.resources.session import Handover, WhatsAppSession

if TYPE_CHECKING:
    from safety_boot import Boot

TIMINGS = SessionTimings(reconnect_limit=20.0, longest_backoff=4.0, stable_after=5.0)
API_TIMEOUT = 5.0


class Runner:
    """Lives until the session is lost to this boot and everything of it is gone."""

    def __init__(self, boot: "Boot", session: WhatsAppSession) -> None:
        self.boot = boot
        self.uid = session.metadata.uid
        self.session_name = session.metadata.name
        self.jid = session.status.jid or ""
        self.epoch = session.status.epoch
        self.state = SessionState(epoch=self.epoch, jid=session.status.jid, promised=session.status.jid is not None)
        self.credit = SendCredit(boot.world.rules.credit)
        self.writer = StatusWriter(self, session)
        self.engine: Engine | None = None
        self.shipper: Shipper | None = None
        self._kill_newborn = False
        self._first_words = False
        self._successor_ready = False
        self._timers: dict[Timer, int] = {}
        self._numbers = 0
        self._queue: deque[Input] = deque()
        self._busy = False
        self._under_way: int | None = None
        self._burst = 0

    @property
    def successor(self) -> bool:
        """Whether a worker is named that shall take the session over."""
        return self.writer.session.status.next is not None

    def observe(self, session: WhatsAppSession) -> None:
        """The watch has a newer object."""
        self.writer.observe(session)
        ready = self.boot.world.rules.may_let_go(self.writer.holder, session)
        if ready != self._successor_ready:
            self._successor_ready = ready
            self.push(inputs.SuccessorReady(ready))

    # --- inputs -------------------------------------------------------------------------------------------------------

    def push(self, happened: Input) -> None:
        """Something happened; one after the other."""
        self._queue.append(happened)
        if self._busy:
            return
        self._busy = True
        while self._queue:
            self._take(self._queue.popleft())
        self._busy = False

    def _take(self, happened: Input) -> None:
        before = self.state
        self.state, wanted = self.boot.world.rules.step(before, happened, self.boot.machine.wall(), TIMINGS)
        if self.state.stop is StopReason.HANDED_OVER and before.stop is not self.state.stop and not self.boot.draining:
            self.boot.world.witness.lets_go(self.session_name, self.epoch, self.boot.boot_id)
        if (
            self.state.stage is not Stage.LOST
            and not self.state.lets_go
            and (self.state.stage is not before.stage or self.state.handover is not before.handover)
        ):
            self.boot.world.witness.note(
                "stage", f"{self.session_name} {self.boot.boot_id} epoch {self.epoch}: {self.state.stage.value}"
            )
            self.writer.publish(report(self.state))
        for effect in wanted:
            self._carry_out(effect)
        if self.state.stage.final:
            self.boot.session_is_over(self)

    def logged_in(self) -> None:
        """The engine says so; there is no offline queue in this world."""
        if self.engine is None:
            self._first_words = True  # heard once it is known that the engine has started
            return
        self.push(inputs.LoggedIn(self.jid, None))
        self.push(inputs.OfflineQueueDrained())

    def replaced(self) -> None:
        """The engine says so."""
        self.push(inputs.Replaced())

    # --- effects ------------------------------------------------------------------------------------------------------

    def _carry_out(self, effect: effects.Effect) -> None:  # noqa: PLR0912  # one arm for each effect
        match effect:
            case effects.Prepare():
                Preparation(self, self._prepared).begin()
            case effects.Spawn():
                self._kill_newborn = self._first_words = False
                self.boot.spawn(self)
            case effects.EndEngine():
                self._end_engine(at_once=effect.at_once)
            case effects.Flush():
                self._flush()
            case effects.Release():
                if self.shipper is None:
                    self.push(inputs.ReleaseEnded(None, "nothing was prepared"))
                else:
                    self.shipper.release(self._released)
            case effects.Forget():
                self._forget(keep_files=effect.keep_files)
            case effects.StartTimer():
                self._start_timer(effect.timer, effect.seconds)
            case effects.BackOff():
                chance = self.boot.world.schedule.chance.random()
                self._start_timer(Timer.RETRY, backoff(effect.failures, TIMINGS, chance))
            case effects.CancelTimer():
                self._timers.pop(effect.timer, None)
            case effects.LogOut():
                self._log_out()
            case _:
                pass  # no proxies in this world

    def _prepared(self, outcome: PrepareOutcome, store_epoch: int | None) -> None:
        if outcome in STARTABLE and self.shipper is not None:
            self.shipper.look_for_ever()
        self.push(inputs.PrepareEnded(outcome, self.jid if outcome in STARTABLE else None, "", store_epoch))

    def born(self, engine: Engine | None) -> None:
        """The engine that `spawn` asked for, or none."""
        if engine is None:
            self.push(inputs.EngineStartFailed("fenced"))
            return
        self.engine = engine
        engine.on_exit(lambda: self.boot.hear_of_death(self, engine))
        if self._kill_newborn:
            engine.kill()
        self.push(inputs.EngineStarted())
        if self._first_words:
            self._first_words = False
            self.logged_in()

    def engine_gone(self, engine: Engine) -> None:
        """It is reaped."""
        if self.engine is engine:
            self.engine = None
        if self._under_way is not None:  # whatever it used was written before it died
            self.credit.settled(self._under_way, self.boot.process.steady())
            self._under_way = None
        self.push(inputs.EngineGone("killed"))

    def _end_engine(self, *, at_once: bool) -> None:
        engine = self.engine
        if engine is None:
            self._kill_newborn = True
        elif at_once:
            engine.kill()
        else:
            takes = self.boot.world.schedule.chance.uniform(0.05, 2.0)
            engine.process.later(takes, engine.kill)  # it disconnects, and what is under way is answered
            self.boot.process.later(TIMINGS.stop_grace, engine.kill)

    def _log_out(self) -> None:
        engine = self.engine
        if engine is not None:
            takes = self.boot.world.schedule.chance.uniform(0.05, 1.0)
            engine.process.later(takes, lambda: engine.tell(lambda: self.push(inputs.LogoutEnded(None))))

    def _flush(self) -> None:
        if not self.boot.world.rules.stores_before_it_lets_go and self.state.giving_way:
            self.push(inputs.FlushEnded(None))
        elif self.shipper is None:
            self.push(inputs.FlushEnded("nothing was prepared"))
        else:
            self.shipper.store(
                lambda stored: self.boot.process.deliver(
                    lambda: self.push(inputs.FlushEnded(None if stored else "away"))
                )
            )

    def _released(self, handover: Handover | None) -> None:
        self.boot.process.deliver(lambda: self.push(inputs.ReleaseEnded(handover, "" if handover else "away")))

    def _forget(self, *, keep_files: bool) -> None:
        if self.shipper is not None:
            self.shipper.end()
        if not keep_files:
            self.boot.pod.files.pop(self.uid, None)
        if self.state.stage is Stage.LOST:
            self.boot.forgotten(self)

    def _start_timer(self, timer: Timer, seconds: float) -> None:
        self._numbers += 1
        number = self._timers[timer] = self._numbers

        def fire() -> None:
            if self._timers.get(timer) == number:
                del self._timers[timer]
                self.push(inputs.TimerFired(timer))

        self.boot.process.later(seconds, fire)

    # --- messages -----------------------------------------------------------------------------------------------------

    def send_something(self, burst: int) -> None:
        """The outbox's turn: so many messages, one after the other, each only if everything that must hold holds."""
        engine = self.engine
        if self._under_way is not None or burst <= 0 or engine is None:
            return
        if not self.state.may_send or not self.boot.may_work() or self.credit.may_send() is not CreditVerdict.SEND:
            return
        self._numbers += 1
        self._under_way, self._burst = self._numbers, burst
        key = self._numbers
        self.credit.sending(key)
        self.boot.world.schedule.after(0.001, lambda: engine.process.deliver(lambda: engine.send(key)))

    def sent(self, key: int) -> None:
        """The engine's answer."""
        if self._under_way == key:
            self._under_way = None
            self.credit.settled(key, self.boot.process.steady())
            self.send_something(self._burst - 1)


class StatusWriter:
    """Writes the newest report, with preconditions, for as long as it takes; learns here that the session is lost."""

    def __init__(self, runner: Runner, session: WhatsAppSession) -> None:
        self._runner = runner
        self._world = runner.boot.world
        self.session = session
        self.holder = Holder(runner.boot.pod.uid, runner.boot.boot_id, runner.epoch)
        self._wanted: Report | None = None
        self._busy = False
        self._again = False
        self._lost = False
        self.gone = False
        """The session does not exist any more."""

    @property
    def settled(self) -> bool:
        """Nothing is left to write."""
        return self._lost or not (self._busy or self._again)

    def observe(self, session: WhatsAppSession) -> None:
        """The watch has shown an object. It may be behind what our own last write was answered with."""
        newer = session.metadata.version >= self.session.metadata.version
        if newer or not self._world.rules.learns_what_it_has_read:
            self.session = session
            self._write()

    def publish(self, wanted: Report) -> None:
        """Let the status say this."""
        self._wanted = wanted
        self._write()

    def _write(self) -> None:
        if self._busy:
            self._again = True
            return
        self._again = False
        if self._lost or self._wanted is None:
            return
        if not self._world.rules.holder_holds(self.holder, self.session):
            self._look_again()
            return
        patch = status_patch(self.session, self._wanted, None, self._runner.boot.machine.wall())
        if patch is None:
            return
        patch = self._world.rules.status_precondition(patch)
        self._busy = True
        api, name = self._world.api, self._runner.session_name
        writer = Writer(self.holder.pod_uid, self.holder.boot_id, self.holder.epoch)
        self._runner.boot.link.call(lambda: api.patch_session(name, patch, writer), self._written, timeout=API_TIMEOUT)

    def _written(self, result: Any) -> None:
        self._busy = False
        if isinstance(result, Failure):
            self._look_again()
            return
        self.session = self._world.model(result)
        if self._again:
            self._write()

    def _look_again(self) -> None:
        self._busy = True
        api, name = self._world.api, self._runner.session_name
        self._runner.boot.link.call(lambda: api.session(name), self._looked, timeout=API_TIMEOUT)

    def _looked(self, result: Any) -> None:
        self._busy = False
        if isinstance(result, Missing):
            self.gone = True
            self._lose()
        elif isinstance(result, Failure):
            self._later()
        else:
            fresh = self._world.model(result)
            self.session = fresh
            if not self._world.rules.holder_holds(self.holder, fresh):
                self._lose()
                return
            self._later()

    def _later(self) -> None:
        self._again = True
        self._runner.boot.process.later(0.2 + 0.8 * self._world.schedule.chance.random(), self._write)

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            self._runner.push(inputs.AssignmentLost())
