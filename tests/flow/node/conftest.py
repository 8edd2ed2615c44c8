"""Fixtures of this folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from node_rig import LIMIT, MODES, SETUP, Box, eventually, works


@pytest.fixture(params=["root", "user"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    """A running runtime: as root, and inside a user namespace."""
    flags = MODES[request.param]
    if not works(flags):
        pytest.skip(f"this machine does not allow `unshare {' '.join(flags)}`")
    state = tmp_path / "state"
    state.mkdir()
    checkout = Path(__file__).parents[3]
    setup = SETUP.format(
        python=sys.executable,
        state=state,
        pid=os.getpid(),
        prefix=sys.prefix,
        base=sys.base_prefix,
        checkout=checkout,
        around=tmp_path,
    )
    log = (tmp_path / "runtime.log").open("wb")
    process = subprocess.Popen(
        ["unshare", *flags, "--kill-child", "--mount-proc", "-n", "sh", "-c", setup], stdout=log, stderr=log
    )
    made = Box(state, process)
    try:
        eventually(lambda: process.poll() is not None or (state / "runtime.pid").exists())
        assert process.poll() is None, (tmp_path / "runtime.log").read_text()
        yield made
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(LIMIT)
        log.close()
