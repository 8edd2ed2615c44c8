"""Waiting for a child process from the event loop: with a pidfd, or a thread on kernels without one. No zombies.

For processes that asyncio did not start: those of `supervision.child` and the shipper that was forked.
"""

import asyncio
import os
import threading
from collections.abc import Callable


def reaped(pid: int, poll: Callable[[], int | None], wait: Callable[[], int]) -> "asyncio.Future[int]":
    """Done when the child has been waited for: its exit code, or minus the signal.

    `poll` waits for it without blocking (None: it lives), `wait` blocks.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def tell(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    def wait_in_thread() -> None:
        code = wait()
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, code)

    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        threading.Thread(target=wait_in_thread, name="wait for a child", daemon=True).start()
        return ended

    def readable() -> None:
        code = poll()
        if code is not None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            tell(code)

    loop.add_reader(descriptor, readable)
    return ended
