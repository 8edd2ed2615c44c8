"""`kubectl exec`: one command's streams over a WebSocket, in Kubernetes' channel protocol.

The first byte of a message names the stream: 0 input, 1 output, 2 errors, 3 the result, 4 the terminal's size.
Version 5 adds 255: "the stream in the next byte is closed".
"""

import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import termios
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from whatsam_local.node.kinds import Json
from whatsam_local.node.probes import Command

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_INPUT, _OUTPUT, _ERRORS, _RESULT, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_CHUNK = 1 << 15


def result_body(code: int) -> Json:
    """Pure: the Status object that tells the exit code."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with exit code {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


@dataclass
class _Session:
    socket: web.WebSocketResponse
    process: asyncio.subprocess.Process
    terminal: int | None

    async def input(self) -> None:
        """Pass on what the client sends, until it goes."""
        async for message in self.socket:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == _INPUT:
                await self._write(data)
            elif channel == _RESIZE and self.terminal is not None:
                self._resize(data)
            elif channel == _CLOSE and data[:1] == bytes([_INPUT]) and self.process.stdin:
                self.process.stdin.close()

    async def _write(self, data: bytes) -> None:
        with suppress(OSError):  # the command has ended or closed its input
            if self.terminal is not None:
                os.write(self.terminal, data)
            elif self.process.stdin:
                self.process.stdin.write(data)
                await self.process.stdin.drain()

    def _resize(self, data: bytes) -> None:
        assert self.terminal is not None  # noqa: S101 - asked by the caller, told to the type checker
        with suppress(ValueError, KeyError, OSError):
            size = json.loads(data)
            rows_columns = struct.pack("HHHH", size["Height"], size["Width"], 0, 0)
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, rows_columns)

    async def output(self) -> None:
        """Send what the command writes, until it has closed its outputs."""
        if self.terminal is not None:
            while data := await self._read_terminal():
                await self.socket.send_bytes(bytes([_OUTPUT]) + data)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forward(_OUTPUT, self.process.stdout))
            group.create_task(self._forward(_ERRORS, self.process.stderr))

    async def _forward(self, channel: int, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (data := await stream.read(_CHUNK)):
            await self.socket.send_bytes(bytes([channel]) + data)

    async def _read_terminal(self) -> bytes:
        assert self.terminal is not None  # noqa: S101 - asked by the caller, told to the type checker
        try:
            return await asyncio.to_thread(os.read, self.terminal, _CHUNK)
        except OSError:  # the last process has closed the terminal
            return b""


async def execute(request: web.Request, command: Command, *, terminal: bool) -> web.WebSocketResponse:
    """Run a command for a client. When the client goes, so does the command."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS)
    await socket.prepare(request)
    session = await _start(socket, command, terminal=terminal)
    reading = asyncio.create_task(session.input())
    writing = asyncio.create_task(session.output())
    try:
        await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        if not writing.done():  # the client is gone
            return socket
        await writing
        code = await session.process.wait()
        await socket.send_bytes(bytes([_RESULT]) + json.dumps(result_body(code)).encode())
    except* (ConnectionError, RuntimeError):  # the client went while something was sent
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(session.process.pid, signal.SIGKILL)
        reading.cancel()
        await asyncio.gather(reading, writing, return_exceptions=True)
        if session.terminal is not None:
            os.close(session.terminal)
        await socket.close()
    return socket


async def _start(socket: web.WebSocketResponse, command: Command, *, terminal: bool) -> _Session:
    if not terminal:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command.argv, env=command.env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        return _Session(socket, process, None)
    ours, theirs = pty.openpty()
    try:
        # setsid gives the command a session with this terminal in control of it, so that Ctrl-C and job control work
        process = await asyncio.create_subprocess_exec(
            "/usr/bin/env",
            "setsid",
            "--ctty",
            *command.argv,
            env={"TERM": "xterm", **command.env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
    finally:
        os.close(theirs)
    return _Session(socket, process, ours)
