"""The first shipper, forked off the connector: it is used, replaced when it dies, and never outlives the connector.

In interpreters of their own, because the one that forks may have no thread.
"""

import subprocess
import sys
from pathlib import Path

import pytest

START = """
import asyncio, os, sys
from pathlib import Path
from whatsam_connector import lean
lean.leave_out()
from whatsam_connector.shipper.forked import fork_first
shipper = fork_first()
from whatsam_connector.state.shipper_process import ShipperProcess

connected = asyncio.Queue()

async def on_connected():
    connected.put_nowait(process.pid)

async def next_shipper():
    return await asyncio.wait_for(connected.get(), 30)

process = ShipperProcess(Path(sys.argv[1]), on_connected=on_connected, on_report=print, first=shipper)
"""
IS_REPLACED = """
async def main():
    await process.start()
    first = await next_shipper()
    assert first == shipper.pid
    os.kill(first, 9)
    second = await next_shipper()
    assert second != first and shipper.returncode == -9
    await process.stop()
    print("replaced")

asyncio.run(main())
"""
DIED_BEFORE = """
async def main():
    os.kill(shipper.pid, 9)
    os.waitid(os.P_PID, shipper.pid, os.WEXITED | os.WNOWAIT)
    await process.start()
    assert await next_shipper() != shipper.pid
    await process.stop()
    print("replaced")

asyncio.run(main())
"""
ENDS_IN_ORDER = """
async def main():
    await process.start()
    await next_shipper()
    await process.stop()
    assert shipper.returncode == 0
    print("replaced by nobody")

asyncio.run(main())
"""
KILLED_BEFORE = """
print("waits", flush=True)
os.kill(os.getpid(), 9)
"""
KILLED_LATER = """
async def main():
    await process.start()
    await next_shipper()
    print("ships", flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def _run(program: str, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """Returns when everybody who has inherited its output is gone: the shipper, too."""
    command = [sys.executable, "-c", START + program, str(tmp_path / "shipper.sock")]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.parametrize("program", [IS_REPLACED, DIED_BEFORE], ids=["while it ships", "before it was told"])
def test_a_forked_shipper_that_dies_is_replaced_by_a_program_of_its_own(program: str, tmp_path: Path) -> None:
    done = _run(program, tmp_path)
    assert (done.stdout.splitlines()[-1:], done.returncode) == (["replaced"], 0), done.stderr


def test_a_forked_shipper_ends_in_order_with_its_keeper(tmp_path: Path) -> None:
    done = _run(ENDS_IN_ORDER, tmp_path)
    assert (done.stdout, done.returncode) == ("replaced by nobody\n", 0), done.stderr


@pytest.mark.parametrize(("program", "said"), [(KILLED_BEFORE, "waits\n"), (KILLED_LATER, "ships\n")])
def test_a_forked_shipper_does_not_outlive_a_connector_that_is_killed(program: str, said: str, tmp_path: Path) -> None:
    done = _run(program, tmp_path)
    assert (done.stdout, done.returncode) == (said, -9), done.stderr
