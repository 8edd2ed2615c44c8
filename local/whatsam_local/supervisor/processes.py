"""Forks processes for the supervisor and reaps them. Single-threaded but for the one thread that is outside."""

import asyncio
import contextlib
import os
import pwd
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from whatsam_local.node import linux
from whatsam_local.supervisor.world import hide_tmp
from whatsam_local.user_namespace import NEW_USER, map_only_user

_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Exit:
    """How a process ended: `code` as a shell shows it (128 + signal for a signal), `signal` 0 for none."""

    code: int
    signal: int

    def __str__(self) -> str:
        return f"signal {self.signal} ({signal.Signals(self.signal).name})" if self.signal else f"exit code {self.code}"


@dataclass(frozen=True)
class Launch:
    """What to run, and what to change between fork and exec."""

    argv: Sequence[str]
    env: Mapping[str, str]
    streams: tuple[int, int, int]
    keep: Sequence[int] = ()
    """Descriptors that stay open under their numbers."""
    ordinary_user: bool = False
    private_tmp: Sequence[str] | None = None
    outside: bool = False
    directory: str | None = None


@dataclass
class Process:
    """A child of the supervisor, leader of a session of its own."""

    pid: int
    exit: "asyncio.Future[Exit]" = field(repr=False)

    def signal(self, number: int) -> None:
        """To the process alone. Nothing happens when it has ended: it was reaped by us, so its number is no one's."""
        if not self.exit.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        if not self.exit.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


class Processes:
    """Starts and reaps. `attach` must be called inside the event loop, before the first start."""

    def __init__(self, outside: ThreadPoolExecutor | None) -> None:
        self._outside = outside
        self._known: dict[int, Process] = {}

    def attach(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def start(self, launch: Launch) -> Process:
        """Fork and exec. Raises OSError when that fails, whatever the reason."""
        if launch.outside and self._outside is not None:
            pid = self._outside.submit(_fork, launch).result()
        else:
            pid = _fork(launch)
        process = Process(pid, asyncio.get_running_loop().create_future())
        self._known[pid] = process
        return process

    def _reap(self) -> None:
        """Collects every ended process: as pid 1 it inherits the orphans of all parts as well."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            process = self._known.pop(pid, None)
            if process is None or process.exit.done():
                continue
            code = os.waitstatus_to_exitcode(status)
            process.exit.set_result(Exit(128 - code, -code) if code < 0 else Exit(code, 0))


def descendants(pid: int) -> list[int]:
    """The process and all its children's children, parents first; those that end meanwhile are left out."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - plain numbers are wanted, not paths
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:  # noqa: PTH123 - hot and trivial
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for each in found:
        found.extend(children.get(each, []))
    return found


def _fork(launch: Launch) -> int:
    failed, report = os.pipe()  # both close on exec: an empty read means that exec succeeded
    pid = os.fork()
    if pid == 0:
        try:
            _become(launch)
        except BaseException as error:  # noqa: BLE001 - whatever happens in the child must reach the parent
            os.write(report, str(error).encode()[:2000])
        finally:
            os._exit(127)
    os.close(report)
    try:
        error = os.read(failed, 2000).decode(errors="replace")
    finally:
        os.close(failed)
    if error:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        raise OSError(error)
    return pid


def _become(launch: Launch) -> None:
    os.setsid()
    if launch.directory is not None:
        os.chdir(launch.directory)
    if launch.private_tmp is not None:
        hide_tmp(launch.private_tmp)
    if launch.ordinary_user:
        uid, gid = os.getuid(), os.getgid()
        linux.unshare(NEW_USER)
        # Any number but 0 would do, but programs look its name up.
        number = next((user.pw_uid for user in pwd.getpwall() if user.pw_name == "nobody"), 65534)
        map_only_user(number, uid, gid)
    # Copied above 2 first, lest one of them is overwritten before it was used.
    copies = [os.dup(descriptor) for descriptor in launch.streams]
    for number, copy in enumerate(copies):
        os.dup2(copy, number)
    for descriptor in launch.keep:
        os.set_inheritable(descriptor, True)
    for number in _DEFAULT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)  # Python ignores SIGPIPE, and exec keeps "ignored"
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execve(launch.argv[0], list(launch.argv), dict(launch.env))  # noqa: S606 - no shell is wanted
