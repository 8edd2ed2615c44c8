"""The runtime: how containers begin, end, are signalled, and that nothing outlives it."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from node_rig import MODES, Box, eventually, mount, works

from whatsam_local.node.errors import RuntimeRefused


def _state_of(pid: int) -> str:
    """The letter of a process's state; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("true", 0)])
def test_exit_codes_are_told_truthfully(box: Box, script: str, code: int) -> None:
    end = box.end(box.start(script))
    assert (end["code"], end["signal"], end["oom_killed"]) == (code, 0, False)


def test_a_kill_is_told_with_its_signal(box: Box) -> None:
    """From inside, the first process cannot be killed: as in a real container."""
    identifier = box.start("kill -9 $$; echo alive; exec sleep 1000")
    box.wait_for(identifier, "alive")
    box.ask("kill", identifier=identifier, number=int(signal.SIGKILL))
    end = box.end(identifier)
    assert (end["code"], end["signal"]) == (137, 9)


def test_what_cannot_be_started_says_why_and_leaves_nothing(box: Box) -> None:
    with pytest.raises(RuntimeRefused, match="/no/such"):
        box.start(["/no/such"])
    assert box.ask("list")["containers"] == {}
    assert box.descendants() == []


def test_term_does_nothing_to_a_first_process_without_a_handler(box: Box) -> None:
    """Trap 4: as in real containers; the connector must handle TERM."""
    deaf = box.start(["sleep", "1000"])
    obedient = box.start("trap 'exit 5' TERM; echo ready; while true; do sleep 0.05; done")
    box.wait_for(obedient, "ready")
    for identifier in (deaf, obedient):
        box.ask("kill", identifier=identifier, number=int(signal.SIGTERM))
    assert box.end(obedient)["code"] == 5
    assert box.record(deaf)["exit"] is None


def test_no_descendant_outlives_its_container(box: Box) -> None:
    identifier = box.start("setsid sleep 1000 & echo started; exec sleep 1000")
    box.wait_for(identifier, "started")
    eventually(lambda: len(box.descendants()) == 2)
    box.ask("kill", identifier=identifier, number=int(signal.SIGKILL))
    box.end(identifier)
    eventually(lambda: box.descendants() == [])


def test_nothing_outlives_a_killed_runtime(box: Box) -> None:
    """Trap 8: the parent-death signal reaches the first process of a pid namespace."""
    box.sandbox()
    identifier = box.start("setsid sleep 1000 & echo started; exec sleep 1000", sandbox="uid-1")
    box.wait_for(identifier, "started")
    pids = eventually(lambda: len(found := box.descendants()) == 2 and found)
    os.kill(box.runtime_pid(), signal.SIGKILL)
    for pid in pids:
        eventually(lambda pid=pid: _state_of(pid) in ("", "Z"))


def test_a_shutdown_ends_everything(box: Box) -> None:
    box.start(["sleep", "1000"])
    box.ask("shutdown")
    assert box.process.wait(10) == 0
    assert not (box.state / "runtime.sock").exists()


def test_a_forgotten_container_that_runs_goes_with_its_end(box: Box) -> None:
    identifier = box.start(["sleep", "1000"])
    box.ask("forget", identifier=identifier)
    box.ask("kill", identifier=identifier, number=int(signal.SIGKILL))
    eventually(lambda: box.descendants() == [])
    assert box.ask("list")["containers"] == {}


def test_stop_and_continue_reach_every_process(box: Box) -> None:
    identifier = box.start("setsid sleep 1000 & sleep 1000 & echo started; wait")
    box.wait_for(identifier, "started")
    pids = eventually(lambda: len(found := box.descendants()) == 3 and found)
    target = {"namespace": "ns", "pod": "pod", "container": None, "everything": True}
    assert len(box.ask("signal", number=int(signal.SIGSTOP), **target)["pids"]) == 3
    eventually(lambda: all(_state_of(pid) == "T" for pid in pids))
    box.ask("signal", number=int(signal.SIGCONT), **target)
    eventually(lambda: all(_state_of(pid) == "S" for pid in pids))
    box.ask("signal", number=int(signal.SIGKILL), **target)
    assert box.end(identifier)["signal"] == 9


def test_signals_to_one_container_of_several_need_its_name(box: Box) -> None:
    first = box.start(["sleep", "1000"], name="a")
    box.start(["sleep", "1000"], name="b")
    target = {"namespace": "ns", "pod": "pod", "number": int(signal.SIGKILL), "everything": False}
    with pytest.raises(RuntimeRefused, match="name one: a, b"):
        box.ask("signal", container=None, **target)
    box.ask("signal", container="a", **target)
    assert box.end(first)["signal"] == 9
    with pytest.raises(RuntimeRefused, match=r"container a does not run \(running: b\)"):
        box.ask("signal", container="a", **target)
    with pytest.raises(RuntimeRefused, match="no pod ns/other"):
        box.ask("signal", container=None, **{**target, "pod": "other"})


def _command(box: Box, *words: str) -> subprocess.CompletedProcess[str]:
    base = [sys.executable, "-m", "whatsam_local.node.signal"]
    words = (*words, "--state", str(box.state), "--namespace", "ns")
    return subprocess.run([*base, *words], capture_output=True, text=True, check=False)


def test_the_command_succeeds_only_when_it_is_done(box: Box) -> None:
    box.sandbox()
    identifier = box.start(["sleep", "1000"])
    assert _command(box, "link", "down", "--pod", "pod").returncode == 0
    missing = _command(box, "--pod", "other", "--signal", "KILL")
    assert (missing.returncode, "no pod ns/other" in missing.stderr) == (1, True)
    assert _command(box, "--pod", "pod", "--signal", "STOP", "--all").returncode == 0
    assert _command(box, "--pod", "pod", "--container", "c", "--signal", "KILL").returncode == 0
    assert box.end(identifier)["signal"] == 9
    again = _command(box, "--pod", "pod", "--signal", "KILL")
    assert (again.returncode, "no container runs (running: nothing)" in again.stderr) == (1, True)


@pytest.mark.skipif(not works(MODES["user"]), reason="no user namespaces here")
def test_a_masked_proc_is_explained() -> None:
    """In a container whose /proc is partly covered, the kernel refuses a fresh one."""
    cover = 'mount -t tmpfs none /proc/sys && exec unshare -Urmpf "$@"'
    python = "import whatsam_local.node.linux as linux; linux.mount_proc('/mnt')"
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", cover, "sh", sys.executable, "-c", python],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "a fresh /proc is refused" in done.stderr


def test_every_pod_has_its_own_network_and_every_port(box: Box) -> None:
    box.sandbox("uid-1")
    box.sandbox("uid-2", pod="pod-2")
    box.sandbox("uid-1")  # asked again after a restart of the node: nothing happens
    shown = [box.output("ip -o -4 addr show eth0; ip route", sandbox=uid) for uid in ("uid-1", "uid-2")]
    assert "10.88.1.1/16" in shown[0]
    assert "10.88.1.2/16" in shown[1]
    assert all("default via 10.88.0.1" in text for text in shown)
    ports = box.output("cat /proc/sys/net/ipv4/ip_unprivileged_port_start", sandbox="uid-1")
    assert ports.strip() == "0"
    assert set(box.ask("list")["sandboxes"]) == {"uid-1", "uid-2"}


def _link_is_up(box: Box, name: str) -> bool:
    enter = ["nsenter", "-t", str(box.runtime_pid()), "-n", "-U", "--preserve-credentials"]
    if Path(f"/proc/{box.runtime_pid()}/ns/user").readlink() == Path("/proc/self/ns/user").readlink():
        enter = enter[:4]
    shown = subprocess.run([*enter, "ip", "-o", "link", "show", name], capture_output=True, text=True, check=True)
    return ",UP" in shown.stdout


def test_a_cut_link_is_down_until_it_is_up_again(box: Box) -> None:
    box.sandbox()
    name = box.ask("link", namespace="ns", pod="pod", up=False)["link"]
    assert not _link_is_up(box, name)
    box.ask("link", namespace="ns", pod="pod", up=True)
    assert _link_is_up(box, name)
    with pytest.raises(RuntimeRefused, match="no pod ns/other"):
        box.ask("link", namespace="ns", pod="other", up=False)


def test_a_removed_pod_leaves_nothing(box: Box) -> None:
    memory = box.state / "volumes" / "memory"
    mounts = Path(f"/proc/{box.runtime_pid()}/mountinfo")
    before = len(mounts.read_text().splitlines())
    box.sandbox(memory={str(memory): 1 << 20})
    identifier = box.start("echo kept > /m/file; exec sleep 1000", mount(memory, "/m"), sandbox="uid-1")
    box.ask("remove_pod", uid="uid-1")
    eventually(lambda: box.descendants() == [])
    assert box.ask("list") | {"n": 0} == {"containers": {}, "sandboxes": {}, "n": 0}
    eventually(lambda: len(mounts.read_text().splitlines()) == before)
    assert identifier not in box.ask("list")["containers"]


def test_a_volume_in_memory_survives_the_container_and_is_not_on_disk(box: Box) -> None:
    memory = box.state / "volumes" / "memory"
    box.sandbox(memory={str(memory): 1 << 20})
    volume = mount(memory, "/m")
    box.output("echo kept > /m/file", volume, sandbox="uid-1")
    assert box.output("cat /m/file; stat -f -c %T /m", volume, sandbox="uid-1").split() == ["kept", "tmpfs"]
    assert list(memory.iterdir()) == []
    full = box.start("dd if=/dev/zero of=/m/big bs=1M count=2", volume, sandbox="uid-1")
    assert box.end(full)["code"] != 0
    assert os.strerror(errno.ENOSPC) in box.logs[full].read_text()


def test_many_starts_leave_nothing_in_the_runtime(box: Box) -> None:
    pid = box.runtime_pid()

    def holdings() -> tuple[int, int]:
        descriptors = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
        kept = [name for name in descriptors if not name.startswith("socket:")]  # a client may be on its way out
        return len(kept), len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines())

    box.output("true")
    before = holdings()
    for _ in range(20):
        box.output("true")
    assert holdings() == before
