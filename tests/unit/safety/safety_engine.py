"""An engine process: it arms its kernel timer, logs in, and sends what it is given, until it is dead."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from safety_clock import Process

if TYPE_CHECKING:
    from safety_session import Runner

LOGIN = (0.05, 0.6)
"""Real seconds from the first word to WhatsApp's answer."""


class Engine:
    """One session's engine. It counts as alive from its birth until it is dead, connected or not."""

    def __init__(self, runner: "Runner", deadline: float) -> None:
        boot = runner.boot
        self.world = boot.world
        self.runner = runner
        self.name = f"engine of {boot.boot_id} epoch {runner.epoch}"
        self.process = Process(self.world.schedule, boot.machine)
        self.file = boot.pod.files[runner.uid]
        self.connected = False
        self._deadline = deadline
        self._armed = 0
        self._on_exit: list[Callable[[], None]] = []

    def __str__(self) -> str:
        return self.name

    def begin(self) -> None:
        """Its first lines: the timer, then everything else."""
        if not self.process.alive:
            return
        self.arm(self._deadline)
        if self.process.alive:
            self.world.witness.engine_may_speak(self.runner.session_name, self, self.runner.epoch, self.file.origin)
            chance = self.world.schedule.chance
            self.process.later(chance.uniform(*LOGIN), self._log_in)

    def arm(self, deadline: float) -> None:
        """Let the kernel kill it then; a deadline in the past kills at once."""
        if not self.world.rules.engine_timers:
            return
        self._armed += 1
        number = self._armed
        due = self.process.machine.real(deadline)
        if due <= self.world.schedule.now:
            self._fence(number)
        else:
            self.world.schedule.at(due, lambda: self._fence(number))

    def _fence(self, number: int) -> None:
        if self.process.alive and number == self._armed:
            self.world.witness.note("kernel timer", f"{self.runner.session_name} {self.name}")
            self.kill()

    def kill(self) -> None:
        """SIGKILL: it works on a stopped process, too."""
        if not self.process.alive:
            return
        self.process.die()
        self.connected = False
        self.world.whatsapp.gone(self)
        self.world.witness.engine_ended(self.runner.session_name, self)
        for tell in self._on_exit:
            tell()

    def on_exit(self, tell: Callable[[], None]) -> None:
        """To be told of the death; at once when it is dead."""
        if self.process.alive:
            self._on_exit.append(tell)
        else:
            tell()

    def _log_in(self) -> None:
        self.connected = True
        self.world.whatsapp.log_in(self)
        self.tell(self.runner.logged_in)

    def replaced(self) -> None:
        """WhatsApp ends the stream: another connection has logged in."""
        self.connected = False
        self.process.deliver(lambda: self.tell(self.runner.replaced))

    def send(self, key: int) -> None:
        """Encrypt, write the file, hand the message to WhatsApp, answer."""
        if not self.connected:
            return
        steps = 2 if self.world.schedule.chance.random() < 0.2 else 1  # a retry uses a counter, too
        content = self.file.content.after(steps)
        self.file.content = content
        self.world.witness.sent(self.runner.session_name, content.chain, content.counter, self.name)
        self.tell(lambda: self.runner.sent(key))

    def tell(self, word: Callable[[], None]) -> None:
        """Say something to the supervisor."""
        self.world.schedule.after(0.002, lambda: self.runner.boot.process.deliver(word))


class WhatsApp:
    """One stream for each device: who logs in last has it."""

    def __init__(self) -> None:
        self._streams: dict[str, Engine] = {}
        self.replaced = 0

    def log_in(self, engine: Engine) -> None:
        """A login; the one before is thrown out."""
        session = engine.runner.session_name
        before = self._streams.get(session)
        self._streams[session] = engine
        if before is not None and before is not engine:
            self.replaced += 1
            before.replaced()

    def foreign_login(self, session: str) -> bool:
        """A copy of the device somewhere else. Whether somebody was thrown out."""
        before = self._streams.pop(session, None)
        if before is None:
            return False
        before.replaced()
        return True

    def gone(self, engine: Engine) -> None:
        """Its connection ends with it."""
        session = engine.runner.session_name
        if self._streams.get(session) is engine:
            del self._streams[session]
