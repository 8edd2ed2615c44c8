"""`whatsam-local up`: checks the machine, builds what is missing, starts the supervisor, waits, installs Whatsam.

Every step may be cut off by a kill; the next `up` goes on from there, and `down` clears away whatever was reached.
"""

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whatsam_local import commands, machine, programs
from whatsam_local.control import Control
from whatsam_local.errors import ClusterNotRunningError, LocalError, PartFailedError
from whatsam_local.install import Installer
from whatsam_local.launch import Launcher
from whatsam_local.layout import Layout, private_directory, tail, write_atomically
from whatsam_local.progress import Reporter
from whatsam_local.running import ProcessRecord, launch_lock, read_record
from whatsam_local.settings import LocalSettings, WhatsApp

_PARTS = ("core", "operator", "connector", "api", "simulator", "local")
"""Folders of the checkout whose programs run in the cluster."""
_LOOK_EVERY = 0.1  # seconds
_ANSWERS_WITHIN = 30.0  # seconds from the launch until the supervisor's socket answers


@dataclass(frozen=True)
class Up:
    """What `up` needs."""

    layout: Layout
    settings: LocalSettings
    reporter: Reporter

    def run(self, *, bare: bool = False) -> bool:
        """Bring the cluster up, or complete one that was cut off. True if it did not run at all before.

        `bare`: without Whatsam itself; the next `up` installs it.
        """
        private_directory(self.layout.root)
        private_directory(self.layout.run)
        with _noted(self.layout.run):
            started = self._launch_if_needed()
            if not started and self._complete():
                return False
            if not started:
                self.reporter.line("The cluster was started before, but not completed: going on.")
                self._start_dead_parts()
            with Installer(self.layout, self.reporter) as installer:
                self._wait_for_parts()
                installer.install(bare=bare)
            if bare:
                return started
            write_atomically(self.layout.installed, Control(self.layout).status()["id"])
        return started

    def _complete(self) -> bool:
        try:
            return self.layout.installed.read_text() == Control(self.layout).status()["id"]
        except OSError:
            return False

    def _start_dead_parts(self) -> None:
        control = Control(self.layout)
        for part in self._until_answered()["parts"]:
            if part["state"] == "ended":
                with self.reporter.step(f"Starting {part['name']} again"):
                    control.part("start", part["name"])

    def _launch_if_needed(self) -> bool:
        record = read_record(self.layout.supervisor_record)
        if record is not None and record.runs():
            return False
        path = machine.system_path(self.layout.checkout / ".venv" / "bin")
        with self.reporter.step("Checking the machine"):
            ip_program = machine.check(path)
        with self.reporter.step("Compiling the programs"):
            # Pods see the checkout read-only and could not keep what they compile at every start.
            packages = [str(self.layout.checkout / part) for part in _PARTS]
            commands.run([sys.executable, "-m", "compileall", "-q", *packages])
        for_simulator = self.settings.whatsapp is WhatsApp.SIMULATOR
        engine = programs.build(programs.engine(self.layout.checkout, simulator=for_simulator), self.reporter)
        controlplane = programs.build(programs.control_plane(self.layout.checkout), self.reporter)
        with launch_lock(self.layout) as lock:
            # Again, under the lock: another `up` may have been quicker.
            record = read_record(self.layout.supervisor_record)
            if record is not None and record.runs():
                return False
            with self.reporter.step("Preparing keys, doors and configuration"):
                Launcher(self.layout, self.settings).launch(controlplane, engine, ip_program, path, lock)
        return True

    def _wait_for_parts(self) -> None:
        with self.reporter.step("Starting the control plane and services") as step:
            parts = self._until_answered()["parts"]
            while True:
                dead = [part for part in parts if part["state"] in ("ended", "not ready")]
                if dead:
                    raise PartFailedError(describe_dead(dead))
                missing = [part["name"] for part in parts if part["state"] not in ("ready", "stopped")]
                if not missing:
                    step.note = ", ".join(f"{part['name']} {part['seconds'] or 0:.1f}" for part in parts)
                    return
                step.update(f"waiting for {', '.join(missing)}", len(parts) - len(missing), len(parts))
                time.sleep(_LOOK_EVERY)
                parts = Control(self.layout).status()["parts"]

    def _until_answered(self) -> dict[str, Any]:
        deadline = time.monotonic() + _ANSWERS_WITHIN
        while True:
            try:
                return Control(self.layout).status()
            except ClusterNotRunningError:
                record = read_record(self.layout.supervisor_record)
                if record is None or not record.runs() or time.monotonic() > deadline:
                    raise LocalError(
                        f"The supervisor did not come up:\n{tail(self.layout.logs / 'supervisor.log')}"
                    ) from None
                time.sleep(_LOOK_EVERY)


@contextmanager
def _noted(run: Path) -> Generator[None]:
    """A record of this `up`, so that `down` can end it too."""
    record = run / f"up-{os.getpid()}.json"
    ProcessRecord.of(os.getpid()).write(record)
    try:
        yield
    finally:
        record.unlink(missing_ok=True)


def describe_dead(parts: list[dict[str, Any]]) -> str:
    """What ended, how, where its log is, and the log's last words."""
    told: list[str] = []
    for part in parts:
        how = part["ended_by"] or "it runs, but does not answer"
        told.append(f"{part['name']}: {how}; log: {part['log']}\n{tail(Path(part['log']))}")
    return "These parts did not come up:\n" + "\n".join(told)
