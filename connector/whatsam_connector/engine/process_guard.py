"""Binds an engine's life to its supervisor's: when the parent dies, the kernel kills the child.

The closing socket says the same; this covers an engine whose threads hang. The signal follows the parent's *thread*
that started the child, so the supervisor starts engines from the thread of its event loop.
"""

import ctypes
import os
import signal

from whatsam_connector.engine.ending import end
from whatsam_connector.engine.protocol import ExitCode

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL at the parent's death; ends the process when the parent is gone already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        end(ExitCode.ENGINE_FAILED, f"prctl: {os.strerror(ctypes.get_errno())}")
    # The parent may have died between fork and prctl: then no signal will come.
    if os.getppid() != parent:
        end(ExitCode.PARENT_GONE, "the supervisor is gone")
