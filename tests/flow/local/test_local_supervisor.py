"""The supervisor's parts and its control socket, with plain processes and without namespaces."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from whatsam_local.control import Control
from whatsam_local.errors import ClusterNotRunningError, LocalError, UnknownPartError
from whatsam_local.layout import Layout
from whatsam_local.plan import CommandProbe, Part, Plan, Preparation, TalkProbe
from whatsam_local.supervisor.control import ControlServer
from whatsam_local.supervisor.parts import PartRunner, State
from whatsam_local.supervisor.processes import Launch, Processes, descendants

PATIENCE = 20.0
PAUSE = 0.01
WAIT = (sys.executable, "-c", "import signal; signal.pause()")


class Rig:
    """A supervisor without namespaces."""

    def __init__(self, root: Path, *parts: Part) -> None:
        self.layout = Layout(root, root / ".local")
        for directory in (self.layout.run, self.layout.logs):
            directory.mkdir(parents=True)
        self.plan = Plan(
            id="run-1",
            checkout=str(root),
            logs=str(self.layout.logs),
            run=str(self.layout.run),
            markers=str(root / "prepared"),
            network=(),
            ip_program="",
            resolver=None,
            parts=parts,
        )
        self.processes = Processes(None)
        self.processes.attach()
        self.runners = {part.name: PartRunner(part, self.plan, self.processes) for part in parts}
        self.boot = [asyncio.create_task(runner.bring_up(self.runners)) for runner in self.runners.values()]
        self.control = Control(self.layout)

    def __getitem__(self, name: str) -> PartRunner:
        return self.runners[name]

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - conditions of processes announce themselves to nobody
                await asyncio.sleep(PAUSE)
        assert condition(), what

    def said(self, name: str) -> str:
        """What a part has written."""
        log = Path(self[name].log)
        return log.read_text() if log.exists() else ""

    async def end(self) -> None:
        for task in self.boot:
            task.cancel()
        for runner in self.runners.values():
            await runner.kill()


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def build(*parts: Part, root: Path = tmp_path) -> Rig:
        rigs.append(Rig(root, *parts))
        return rigs[-1]

    yield build
    for rig in rigs:
        await rig.end()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def test_a_part_starts_when_those_before_it_are_ready(make: Callable[..., Rig], tmp_path: Path):
    flag = tmp_path / "flag"
    first = Part(name="first", argv=WAIT, ready=CommandProbe(argv=("/bin/sh", "-c", f"test -e {flag}")))
    rig = make(first, Part(name="second", argv=WAIT, after=("first",)))
    await rig.until(lambda: rig["first"].state is State.STARTING, "the first starts")
    assert rig["second"].describe()["waits_for"] == ["first"]
    flag.touch()
    await rig.until(lambda: rig["second"].state is State.READY, "the second is ready")
    assert rig["first"].state is State.READY


async def test_a_part_is_ready_when_it_answers(make: Callable[..., Rig]):
    port = free_port()
    server = (
        "import socket, time\n"
        f"s = socket.create_server(('127.0.0.1', {port}))\n"
        "while True:\n c = s.accept()[0]\n c.recv(99)\n c.send(b'+PONG\\n')\n"
    )
    probe = TalkProbe(host="127.0.0.1", port=port, say="PING\n", hear=("+PONG",))
    rig = make(Part(name="one", argv=(sys.executable, "-c", server), ready=probe))
    await rig.until(lambda: rig["one"].state is State.READY, "it answers")


async def test_a_part_that_answers_something_else_is_given_up(make: Callable[..., Rig]):
    probe = CommandProbe(argv=("/bin/false",))
    rig = make(Part(name="one", argv=WAIT, ready=probe, ready_within=0.1))
    await rig.until(lambda: rig["one"].state is State.SLOW, "it is given up")


async def test_a_dead_part_stays_dead_and_is_explained(make: Callable[..., Rig]):
    rig = make(Part(name="one", argv=("/bin/sh", "-c", "echo last words; exit 7")))
    await rig.until(lambda: rig["one"].state is State.ENDED, "it ends")
    told = rig["one"].describe()
    assert told["ended_by"] == "exit code 7"
    assert told["starts"] == 1
    assert told["log"] == rig["one"].log
    assert "last words" in rig.said("one")


async def test_a_program_that_is_not_there_is_a_dead_part(make: Callable[..., Rig]):
    rig = make(Part(name="one", argv=("/nowhere/program",)))
    await rig.until(lambda: rig["one"].state is State.ENDED, "it cannot start")
    assert "No such file" in str(rig["one"].describe()["ended_by"])


async def test_killed_is_dead_and_stopped_is_not(make: Callable[..., Rig]):
    rig = make(Part(name="one", argv=WAIT), Part(name="two", argv=WAIT))
    await rig.until(lambda: all(r.state is State.READY for r in rig.runners.values()), "both run")
    await rig["one"].kill()
    await rig["two"].stop()
    await rig.until(lambda: rig["two"].state is State.STOPPED, "stopped")
    assert rig["one"].state is State.ENDED
    assert "SIGKILL" in str(rig["one"].describe()["ended_by"])
    await rig["one"].start()
    assert rig["one"].state is State.READY
    assert rig["one"].describe()["starts"] == 2


async def test_a_frozen_part_can_be_stopped(make: Callable[..., Rig]):
    rig = make(Part(name="one", argv=WAIT))
    await rig.until(lambda: rig["one"].state is State.READY, "it runs")
    rig["one"].freeze()
    pid = rig["one"].describe()["pid"]
    await rig.until(lambda: state_of(pid) == "T", "it is frozen")
    assert rig["one"].describe()["frozen"]
    await rig["one"].stop()
    await rig.until(lambda: rig["one"].state is State.STOPPED, "it is stopped")
    assert not rig["one"].describe()["frozen"]


async def test_freezing_reaches_children_only_where_that_is_wanted(make: Callable[..., Rig]):
    parent = (sys.executable, "-c", "import os, signal; os.fork() or os.setsid(); signal.pause()")
    rig = make(Part(name="tree", argv=parent, freeze_descendants=True), Part(name="alone", argv=parent))
    pids: dict[str, list[int]] = {}
    for name in rig.runners:
        await rig.until(lambda name=name: rig[name].state is State.READY, "runs")
        pid = rig[name].describe()["pid"]
        assert isinstance(pid, int)
        await rig.until(lambda pid=pid: len(descendants(pid)) == 2, "has a child")
        pids[name] = descendants(pid)
        rig[name].freeze()
    await rig.until(lambda: [state_of(pid) for pid in pids["tree"]] == ["T", "T"], "both are frozen")
    parent_pid, child_pid = pids["alone"]
    await rig.until(lambda: state_of(parent_pid) == "T", "the parent is frozen")
    assert state_of(child_pid) in ("R", "S")
    for name, (_, child) in pids.items():
        rig[name].thaw()
        os.kill(child, 9)


async def test_preparation_runs_once_and_again_only_if_it_was_cut_short(make: Callable[..., Rig], tmp_path: Path):
    data = tmp_path / "data"
    step = Preparation(argv=("/bin/sh", "-c", f"mkdir {data} && cat >> {data}/said"), stdin="hello")
    part = Part(name="one", argv=WAIT, data=str(data), prepare=(step,))
    # What a preparation that was killed half-way has left.
    data.mkdir()
    (data / "half").touch()
    rig = make(part)
    await rig.until(lambda: rig["one"].state is State.READY, "it is prepared and runs")
    assert [file.name for file in data.iterdir()] == ["said"]
    again = PartRunner(part, rig.plan, rig.processes)
    await again.bring_up({})
    assert (data / "said").read_text() == "hello"
    await again.kill()


async def test_a_failed_preparation_is_a_dead_part(make: Callable[..., Rig]):
    rig = make(Part(name="one", argv=WAIT, prepare=(Preparation(argv=("/bin/false",)),)))
    await rig.until(lambda: rig["one"].state is State.ENDED, "it fails")
    assert "preparation" in str(rig["one"].describe()["ended_by"])


async def test_only_the_intended_descriptors_are_inherited(make: Callable[..., Rig]):
    with socket.create_server(("127.0.0.1", 0)) as door:
        fds = (
            sys.executable,
            "-c",
            "import os, signal; print(os.listdir('/proc/self/fd'), flush=True); signal.pause()",
        )
        number = door.fileno()
        rig = make(Part(name="relay", argv=fds, descriptors=(number,)), Part(name="other", argv=fds))
        for name, expected in (("relay", True), ("other", False)):
            await rig.until(lambda name=name: "]" in rig.said(name), "it speaks")
            assert (f"'{number}'" in rig.said(name)) is expected


async def test_the_control_socket_works_below_a_very_long_path(make: Callable[..., Rig], tmp_path: Path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    rig = make(Part(name="one", argv=WAIT), root=deep)
    ControlServer(rig.plan, rig.runners, rig.processes).listen()
    await rig.until(lambda: rig["one"].state is State.READY, "runs")
    status = await asyncio.to_thread(rig.control.status)
    assert status["id"] == "run-1"
    assert [part["name"] for part in status["parts"]] == ["one"]
    killed = await asyncio.to_thread(rig.control.part, "kill", "one")
    assert killed["state"] == "ended"
    started = await asyncio.to_thread(rig.control.part, "start", "one")
    assert started["state"] == "ready"
    with pytest.raises(UnknownPartError, match="one"):
        await asyncio.to_thread(rig.control.part, "kill", "nobody")
    with pytest.raises(LocalError, match="no such request"):
        await asyncio.to_thread(rig.control.part, "tickle", "one")


async def test_a_command_runs_on_the_callers_streams(make: Callable[..., Rig], tmp_path: Path):
    rig = make()
    ControlServer(rig.plan, rig.runners, rig.processes).listen()
    reading, writing = os.pipe()
    script = ["/bin/sh", "-c", 'echo "$WORD in $(pwd)"; exit 5']
    code = await asyncio.to_thread(
        rig.control.execute, script, {"WORD": "here"}, str(tmp_path), (reading, writing, writing)
    )
    os.close(writing)
    with os.fdopen(reading) as said:
        assert said.read() == f"here in {tmp_path}\n"
    assert code == 5


async def test_a_command_ends_with_its_caller(make: Callable[..., Rig], tmp_path: Path):
    rig = make()
    ControlServer(rig.plan, rig.runners, rig.processes).listen()
    program = (
        "import sys; from pathlib import Path; from whatsam_local.control import Control; "
        "from whatsam_local.layout import Layout; root = Path(sys.argv[1]); "
        "Control(Layout(root, root / '.local')).execute("
        "['/bin/sh', '-c', 'echo $$; exec sleep 1000'], {}, '/')"
    )
    caller = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert caller.stdout is not None
    pid = int(await asyncio.wait_for(caller.stdout.readline(), PATIENCE))
    caller.kill()
    await rig.until(lambda: state_of(pid) is None, "the command is gone")


@pytest.mark.parametrize("garbage", [b"", b"\n", b"{}\n", b"[]\n", b"not json\n", b'{"do": "exec"}\n', b'{"do": 1}\n'])
async def test_no_request_ends_the_supervisor(make: Callable[..., Rig], garbage: bytes):
    rig = make()
    ControlServer(rig.plan, rig.runners, rig.processes).listen()

    def speak() -> None:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(PATIENCE)
            caller.connect(str(rig.layout.run / "control.sock"))
            caller.sendall(garbage)
            caller.shutdown(socket.SHUT_WR)
            caller.recv(1000)

    await asyncio.to_thread(speak)
    assert (await asyncio.to_thread(rig.control.status))["id"] == "run-1"


async def test_without_a_supervisor_every_request_says_so(tmp_path: Path):
    with pytest.raises(ClusterNotRunningError, match="make up"):
        Control(Layout(tmp_path, tmp_path / ".local")).status()


async def test_orphans_of_parts_are_reaped(make: Callable[..., Rig]):
    rig = make()
    null = os.open(os.devnull, os.O_RDWR)
    process = rig.processes.start(Launch(("/bin/true",), {}, (null, null, null)))
    os.close(null)
    assert (await asyncio.wait_for(process.exit, PATIENCE)).code == 0
    assert state_of(process.pid) is None


def state_of(pid: Any) -> str | None:
    """The letter of /proc/<pid>/stat, None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
