"""An engine is dead when it has to be: at its deadline, with its parent, when told; and its end is told truthfully."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from connector_engine_bare import Bare
from connector_engine_rig import LIMIT_SECONDS, Account, Rig, dies, freeze, text
from connector_engines import Engine
from engine_differences import ABORT

from whatsam_connector.engine.protocol import ExitCode, Ping
from whatsam_connector.engine.wire import frame
from whatsam_connector.fence import boottime
from whatsam_connector.journal import Writer
from whatsam_connector.supervision import (
    Connected,
    EngineExit,
    EngineGone,
    EngineProcess,
    EngineRefused,
    EngineStartFailed,
    EngineUnresponsive,
    ExitReason,
    PairingRequest,
    QrShown,
)
from whatsam_connector.supervision.child import Child
from whatsam_connector.supervision.connection import Listener
from whatsam_connector.supervision.greeting import engine_environment, greet


async def test_a_stopped_engine_is_dead_by_its_deadline(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.pair(account)
    deadline = boottime() + 1.5
    await running.process.arm(deadline)
    freeze(running.process.pid)
    ended = await running.exit()
    assert ended == EngineExit(-signal.SIGKILL, ExitReason.FENCED)
    assert boottime() >= deadline


async def test_an_engine_that_nobody_arms_again_is_dead_by_its_first_deadline(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    running = await rig.spawn(rig.account(new_number()).session(PairingRequest("QR")), deadline_in=4.0)
    assert (await running.exit()).reason is ExitReason.FENCED


async def test_arming_keeps_an_engine_alive(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.spawn(account.session(PairingRequest("QR")), deadline_in=6.0)
    first = running.process.deadline
    await running.process.arm(boottime() + 600)
    await running.event(QrShown)
    while boottime() < first + 0.2:
        await running.process.ping(30)
        await asyncio.sleep(0.1)
    await running.process.ping(30)


async def test_a_deadline_in_the_past_starts_nothing(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    with pytest.raises(EngineStartFailed) as failed:
        await rig.spawn(account.session(PairingRequest("QR")), deadline_in=-1.0)
    assert failed.value.reason == ExitReason.FENCED.value
    assert not account.database.exists()


async def test_a_stopped_engine_answers_nothing_and_can_be_killed(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    freeze(running.process.pid)
    with pytest.raises(EngineUnresponsive):
        await running.process.ping(0.2)
    assert (await running.process.stop(0.2)).reason is ExitReason.HUNG
    with pytest.raises(EngineGone):
        await running.process.ping(1)
    with pytest.raises(EngineRefused):
        await running.process.send(account.uid, text(contact, "x"), 1)


async def test_a_death_is_told_apart_from_a_kill(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    for signal_number, code, reason in (
        (signal.SIGKILL, -signal.SIGKILL, ExitReason.KILLED),
        (signal.SIGABRT, ABORT.of(rig.engine.kind), ExitReason.PANIC),
    ):
        running = await (rig.resume(account) if account.jid else rig.pair(account))
        os.kill(running.process.pid, signal_number)
        ended = await running.exit()
        assert (ended.code, ended.reason) == (code, reason)
    hung = await rig.resume(account)
    hung.process.kill(hung=True)
    assert (await hung.exit()).reason is ExitReason.HUNG


async def test_no_zombies_and_no_sockets_are_left(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    pids: list[int] = []
    for _ in range(3):
        running = await (rig.resume(account) if account.jid else rig.pair(account))
        pids.append(running.process.pid)
        await running.process.stop(20)
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []  # noqa: ASYNC240, PTH110 - no disk is read
    assert os.listdir(rig.run_dir) == []  # noqa: PTH208 - as above


async def test_a_cancelled_wait_for_the_end_hurts_nobody(rig: Rig, new_number: Callable[[], str]) -> None:
    running = await rig.pair(rig.account(new_number()))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(running.process.exited, 0.01)
    running.process.kill()
    assert (await running.exit()).reason is ExitReason.KILLED


async def test_an_engine_whose_journal_is_held_by_another_does_not_run(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    holder = Writer(account.journal)
    running = await rig.spawn(account.session(PairingRequest("QR")))
    ended = await running.exit()
    assert ended.reason is ExitReason.JOURNAL_FAILED
    assert ended.detail == "engine: another process writes this journal"
    holder.close()


async def test_an_event_handler_that_fails_does_not_cost_later_events(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    first = await rig.pair(account)
    await first.process.stop(20)
    connected = asyncio.Event()

    def on_event(event: object) -> None:
        if not isinstance(event, Connected):
            return
        connected.set()
        raise RuntimeError("a fault of ours")

    process = await EngineProcess.spawn(
        [account.session()],
        environment=rig.environment,
        run_dir=rig.run_dir,
        deadline=boottime() + 600,
        on_event=on_event,
        program=rig.engine.program,
    )
    await asyncio.wait_for(connected.wait(), LIMIT_SECONDS)
    assert (await process.stop(20)).reason is ExitReason.CLEAN


def test_it_works_on_uvloop_too(
    engine: Engine, rig_environment: dict[str, str], tmp_path: Path, new_number: Callable[[], str]
) -> None:
    account = Account(new_number(), tmp_path)

    async def life() -> EngineExit:
        shown = asyncio.Event()
        process = await EngineProcess.spawn(
            [account.session(PairingRequest("QR"))],
            environment=rig_environment,
            run_dir=tmp_path / "run",
            deadline=boottime() + 600,
            on_event=lambda event: shown.set() if isinstance(event, QrShown) else None,
            program=engine.program,
        )
        await asyncio.wait_for(shown.wait(), LIMIT_SECONDS)
        await process.arm(boottime() + 700)
        return await process.stop(20)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(life()).reason is ExitReason.CLEAN


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_engines_die_with_their_supervisor(
    how: signal.Signals, engine: Engine, rig_environment: dict[str, str], tmp_path: Path
) -> None:
    script = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from whatsam_connector.fence import boottime
        from whatsam_connector.supervision import EngineProcess, EngineSession, PairingRequest, QrShown

        async def main():
            shown = asyncio.Event()
            folder = Path(sys.argv[1])
            session = EngineSession("u", folder / "s.db", folder / "journal", None, PairingRequest("QR"))
            engine = await EngineProcess.spawn(
                [session], environment={}, run_dir=folder / "run", deadline=boottime() + 600,
                on_event=lambda event: shown.set() if isinstance(event, QrShown) else None,
                program=sys.argv[2:],
            )
            await shown.wait()
            print(engine.pid, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
        """
    )
    # What the engine inherits comes from this process: the simulator's variables beside the connector's own.
    inherited = {**os.environ, **{k: v for k, v in rig_environment.items() if not k.startswith("WHATSAM_")}}
    script = script.replace("environment={}", f"environment={rig_environment!r}")
    supervisor = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), *engine.program], stdout=subprocess.PIPE, text=True, env=inherited
    )
    assert supervisor.stdout is not None
    descriptor = None
    try:
        line = next(line for line in supervisor.stdout if line.strip().isdigit())
        descriptor = os.pidfd_open(int(line))
        supervisor.send_signal(how)
        supervisor.wait(LIMIT_SECONDS)
        assert dies(descriptor)
    finally:
        supervisor.kill()
        supervisor.wait()
        supervisor.stdout.close()
        if descriptor is not None:
            os.close(descriptor)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x02[]",
        b"\xff" * 64,
        frame(Ping(1))[:4] + b"x" * 20,
    ],
    ids=["http", "empty", "no-object", "huge", "no-json"],
)
def test_garbage_on_the_socket_ends_the_engine(engine: Engine, tmp_path: Path, garbage: bytes) -> None:
    bare = Bare(engine, tmp_path, deadline=boottime() + 600, parent=os.getpid())
    with bare.hello() as connection:
        connection.sendall(garbage)
        assert bare.code() == ExitCode.PROTOCOL_ERROR


async def test_only_the_child_itself_can_take_the_socket(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "run")
    accepting = asyncio.create_task(listener.accept(pid=1))
    reader, writer = await asyncio.open_unix_connection(str(listener.path))
    assert await asyncio.wait_for(reader.read(), LIMIT_SECONDS) == b""
    assert not accepting.done()
    accepting.cancel()
    writer.close()
    listener.close()


async def test_an_engine_that_speaks_garbage_is_killed(tmp_path: Path) -> None:
    """A child that says hello as it should, and then something that no engine says."""
    script = textwrap.dedent(
        """
        import os, socket, sys, threading
        from whatsam_connector.engine.protocol import PROTOCOL_VERSION, Capabilities, Hello
        from whatsam_connector.engine.wire import frame
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(sys.argv[1])
        nothing = Capabilities(False, False, False)
        connection.sendall(frame(Hello(PROTOCOL_VERSION, "x", "1", os.getpid(), nothing, 1e9)))
        connection.sendall(b"garbage" * 10)
        threading.Event().wait()
        """
    )
    listener = Listener(tmp_path / "run")
    child = await Child.start([sys.executable, "-c", script, str(listener.path)], os.environ)
    connection, hello = await greet(listener, child)
    listener.close()
    process = EngineProcess(child, connection, hello)
    assert (await asyncio.wait_for(process.exited, LIMIT_SECONDS)).reason is ExitReason.PROTOCOL_ERROR


async def test_a_child_without_a_hello_is_no_engine(tmp_path: Path) -> None:
    for program, reason in (("raise SystemExit(3)", ExitReason.ENGINE_FAILED), ("import os; os.abort()", "Panic")):
        listener = Listener(tmp_path / "run")
        child = await Child.start([sys.executable, "-c", program], os.environ)
        with pytest.raises(EngineStartFailed) as failed:
            await greet(listener, child)
        assert failed.value.reason == ExitReason(reason).value
        listener.close()


async def test_the_connectors_secrets_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAM_KEYRING", "secret")
    given = engine_environment({"WHATSAM_SIMULATOR_ROOT": "asked for", "NEONIZE_BOT_TAG": "on"})
    assert "WHATSAM_KEYRING" not in given
    assert given["WHATSAM_SIMULATOR_ROOT"] == "asked for"
    assert given["NEONIZE_BOT_TAG"] == "off"


def test_a_closed_socket_ends_the_engine(engine: Engine, tmp_path: Path) -> None:
    bare = Bare(engine, tmp_path, deadline=boottime() + 600, parent=os.getpid())
    bare.hello().close()
    assert bare.code() == ExitCode.PARENT_GONE


def test_an_engine_of_another_parent_does_not_start(engine: Engine, tmp_path: Path) -> None:
    assert Bare(engine, tmp_path, deadline=boottime() + 600, parent=1).code() == ExitCode.PARENT_GONE


def test_the_fence_is_armed_before_anything_else(engine: Engine, tmp_path: Path) -> None:
    assert Bare(engine, tmp_path, deadline=boottime() - 1, parent=os.getpid()).code() == -signal.SIGKILL


def test_bad_arguments_are_refused(engine: Engine, tmp_path: Path) -> None:
    command = [*engine.program, "--socket", str(tmp_path / "x")]
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == ExitCode.BAD_ARGUMENTS
