"""The baseline: a plain gateway on neonize, one process, one SQLite file a session, a thin HTTP wrapper.

`python -m bench.bare_neonize FOLDER SESSIONS EVENTS_FD`, started by `bench.bare`. It does what such gateways do: no
rows before a send, nothing replicated, events go to a file that nobody syncs. Sessions start 15 ms apart, because
neonize's maps have no locks. Messages that arrive are appended to `FOLDER/<session>.in`, one text a line.
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

logging.basicConfig(level=logging.ERROR)
from neonize.client import NewClient  # noqa: E402 - neonize sets up logging on import; ours comes first
from neonize.events import ConnectedEv, MessageEv, ReceiptEv  # noqa: E402 - as above
from neonize.utils import build_jid  # noqa: E402 - as above

_APART = 0.015
"""Seconds between two starts: without them the process dies of `concurrent map writes`."""

_events_lock = threading.Lock()


def main(folder: Path, sessions: int, events: int) -> None:
    """Start all sessions, then serve for ever."""
    out = os.fdopen(events, "w")

    def tell(**fields: Any) -> None:
        with _events_lock:
            out.write(json.dumps(fields) + "\n")
            out.flush()

    clients = [_start(folder, number, tell) for number in range(sessions)]
    asyncio.run(_serve(clients, tell))


def _start(folder: Path, number: int, tell: Any) -> NewClient:
    client = NewClient(str(folder / f"{number}.db"), uuid=f"session-{number}")
    inbox = os.open(folder / f"{number}.in", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def message(_client: NewClient, event: MessageEv) -> None:
        text = event.Message.conversation or event.Message.extendedTextMessage.text
        if text:
            os.write(inbox, f"{text}\n".encode())

    client.event.qr(lambda _client, code: tell(event="qr", session=number, code=code.decode()))
    client.event(ConnectedEv)(lambda _client, _event: tell(event="connected", session=number))
    client.event(ReceiptEv)(lambda _client, _event: None)
    client.event(MessageEv)(message)
    threading.Thread(target=client.connect, daemon=True).start()
    time.sleep(_APART)
    return client


async def _serve(clients: list[NewClient], tell: Any) -> None:
    """`POST /` with {session, to, text}: sends, and answers with WhatsApp's id when the server has it."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length:")[2].partition("\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                client, to = clients[asked["session"]], build_jid(asked["to"])
                try:
                    sent = await asyncio.to_thread(client.send_message, to, asked["text"])
                    status, body = 200, {"id": sent.ID}
                except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
                    status, body = 500, {"error": f"{type(error).__name__}: {error}"}
                content = json.dumps(body).encode()
                writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    tell(event="serving", port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
