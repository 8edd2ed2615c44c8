"""The first seconds of an engine process: its environment, its hello, and what it means when there is none."""

import asyncio
import os
from collections.abc import Mapping

from whatsam_connector.engine.protocol import PROTOCOL_VERSION, Hello
from whatsam_connector.engine.wire import WireError
from whatsam_connector.fence import boottime
from whatsam_connector.lean import FEW_HEAPS
from whatsam_connector.supervision.child import Child
from whatsam_connector.supervision.connection import EngineConnection, Listener
from whatsam_connector.supervision.errors import EngineStartFailed
from whatsam_connector.supervision.exits import ExitReason, classify

HELLO_SECONDS = 20.0
"""From the fork to the child's hello: an interpreter's start, some 0.2 s on an idle machine."""
OUTPUT_SECONDS = 1.0
"""After the end of a process: how long to wait for what is still in its socket and pipe."""

OWN_SETTINGS = "WHATSAM_"
"""Environment variables of the connector itself, keys and passwords among them: no engine inherits them."""


GO_MEMORY = "128MiB"
"""Above this Go's collector works harder and gives memory back at once: after two uploads of 64 MiB a process keeps 180
MiB in all, without it 290. A cohort's sessions need less than half of it."""


def engine_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Environment of an engine: this process's own without the connector's settings, and `extra` on top."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_SETTINGS)}
    # Without NEONIZE_BOT_TAG neonize marks every message to a person as sent by a bot; Go reads the environment once,
    # at the start. Unbuffered: last words before a crash must not stay in Python's buffer.
    frugal = {"GOMEMLIMIT": GO_MEMORY, **FEW_HEAPS}
    return {**frugal, **inherited, **extra, "NEONIZE_BOT_TAG": "off", "PYTHONUNBUFFERED": "1"}


async def greet(listener: Listener, child: Child) -> tuple[EngineConnection, Hello]:
    """Wait for the child's hello; raises EngineStartFailed when it does not come. The caller ends the child then."""
    greeting = asyncio.create_task(_accept_hello(listener, child.pid))
    try:
        await asyncio.wait([greeting, child.ended], timeout=HELLO_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if greeting.done():
            return greeting.result()
    except WireError as error:
        # A closed socket is mostly a dead child, whose exit code says more.
        await asyncio.wait([child.ended], timeout=OUTPUT_SECONDS)
        if not child.ended.done():
            raise EngineStartFailed(ExitReason.PROTOCOL_ERROR.value, f"the engine's hello: {error}") from error
    finally:
        greeting.cancel()
    if not child.ended.done():
        raise EngineStartFailed(ExitReason.HUNG.value, f"the engine said nothing within {HELLO_SECONDS:g} s")
    await asyncio.wait([child.output.closed], timeout=OUTPUT_SECONDS)
    # Nobody here has killed it: a SIGKILL so early is its fence, armed to a deadline that was past or near.
    reason = classify(child.ended.result(), killed=None, deadline=0.0, now=boottime())
    detail = child.output.detail or f"exit code {child.ended.result()}"
    raise EngineStartFailed(reason.value, f"the engine ended before its hello: {detail}")


async def _accept_hello(listener: Listener, pid: int) -> tuple[EngineConnection, Hello]:
    connection = await listener.accept(pid)
    async for message in connection.messages():
        if isinstance(message, Hello) and message.version == PROTOCOL_VERSION:
            return connection, message
        break
    raise WireError("the engine's first word is not a hello of this version")
