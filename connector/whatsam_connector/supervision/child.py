"""A child process of the operating system: started, watched, killed, always waited for.

Started from the event loop's own thread, because the kernel ties the child's parent-death signal to the thread that
forked it.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from whatsam_connector.reaping import reaped
from whatsam_connector.supervision.output import OutputCapture


class Child:
    """One process with its output captured."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: OutputCapture) -> None:
        self._process = process
        self.output = output
        self.ended = reaped(process.pid, process.poll, process.wait)
        """Exit code, or minus the signal; set when the process has been waited for."""

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> "Child":
        """Start `command`; raises OSError when the system refuses."""
        loop = asyncio.get_running_loop()
        read_end, write_end = os.pipe()
        try:
            # Not asyncio's subprocess: it may start the child from another thread. The fork takes about a millisecond.
            process = subprocess.Popen(  # noqa: ASYNC220
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor, which stops engines in order
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        output = OutputCapture(process.pid, loop)
        child = cls(process, output)
        try:
            await loop.connect_read_pipe(lambda: output, os.fdopen(read_end, "rb", buffering=0))
        except BaseException:
            child.kill()
            await asyncio.shield(child.ended)
            raise
        return child

    @property
    def pid(self) -> int:
        """Process id; stays reserved until `ended` is set."""
        return self._process.pid

    def kill(self) -> None:
        """Send SIGKILL; nothing happens when the process has been waited for already."""
        self._process.send_signal(signal.SIGKILL)
