"""A real neonize client on a session's file, as a process (`python … DATABASE`), and the handle on it.

Commands come as JSON lines on standard input, events go out as JSON lines on EVENTS_FD.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

WAIT = 40.0


class Neonize:
    """The handle. `kill` is SIGKILL in whatever the client is doing."""

    def __init__(self, database: Path, environment: dict[str, str], log: Path) -> None:
        read_end, write_end = os.pipe()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(database)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**environment, "EVENTS_FD": str(write_end), "NEONIZE_BOT_TAG": "off"},
                pass_fds=(write_end,),
                text=True,
            )
        os.close(write_end)
        self.seen: list[dict[str, Any]] = []
        self._replies = 0
        threading.Thread(target=self._pump, args=(read_end,), daemon=True).start()

    def _pump(self, read_end: int) -> None:
        with os.fdopen(read_end) as lines:
            for line in lines:
                self.seen.append(json.loads(line))

    async def wait(self, kind: str, **fields: object) -> dict[str, Any]:
        """The first event of that kind with those fields, also if it came before."""
        give_up = asyncio.get_running_loop().time() + WAIT
        while True:
            for event in list(self.seen):
                if event["event"] == kind and all(event.get(name) == value for name, value in fields.items()):
                    return event
            assert asyncio.get_running_loop().time() < give_up, f"no {kind} {fields}; saw {self.seen[-10:]}"
            await asyncio.sleep(0.02)

    async def send(self, to: str, text: str, server: str = "s.whatsapp.net") -> None:
        await self._call("send", to, text, server)

    async def create_group(self, member: str) -> str:
        return str(await self._call("group", member))

    async def _call(self, *arguments: str) -> object:
        self._replies += 1
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([self._replies, *arguments]) + "\n")
        self.process.stdin.flush()
        reply = await self.wait("reply", number=self._replies)
        assert reply["error"] is None, reply
        return reply["value"]

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def main() -> None:
    """The child."""
    from neonize import events
    from neonize.client import NewClient
    from neonize.utils import build_jid

    out, lock = os.fdopen(int(os.environ["EVENTS_FD"]), "w"), threading.Lock()

    def emit(kind: str, **fields: object) -> None:
        with lock:
            out.write(json.dumps({"event": kind, **fields}) + "\n")
            out.flush()

    client = NewClient(sys.argv[1], uuid=Path(sys.argv[1]).parent.name)
    client.event.qr(lambda _, data: emit("QR", code=data.decode()))
    client.event(events.ConnectedEv)(lambda _, __: emit("Connected"))
    client.event(events.PairStatusEv)(lambda _, __: emit("Paired"))
    client.event(events.MessageEv)(
        lambda _, message: emit(
            "Message", text=message.Message.conversation or message.Message.extendedTextMessage.text
        )
    )
    client.event(events.UndecryptableMessageEv)(lambda _, __: emit("Undecryptable"))
    threading.Thread(target=client.connect, daemon=True).start()
    for line in sys.stdin:
        number, command, *arguments = json.loads(line)
        value, problem = "", None
        try:
            if command == "send":
                to, text, server = arguments
                value = client.send_message(build_jid(to, server), text).ID
            else:
                value = client.create_group("team", [build_jid(arguments[0])]).JID.User
        except Exception as error:  # noqa: BLE001  the test decides what an error means
            problem = f"{type(error).__name__}: {error}"
        emit("reply", number=number, value=value, error=problem)
    os._exit(0)


if __name__ == "__main__":
    main()
