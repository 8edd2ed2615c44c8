"""One neonize client as a process: commands as JSON lines on standard input, events as JSON lines on descriptor EVENTS_FD.

Started by `neonize_rig.py` with the environment that `hook_environment` gives; nothing here knows the simulator.
"""

import json
import logging
import os
import sys
import threading
from typing import Any

logging.basicConfig(level=logging.ERROR)
from neonize import events  # noqa: E402  neonize sets up logging on import; ours comes first
from neonize.client import NewClient  # noqa: E402
from neonize.utils import build_jid  # noqa: E402
from neonize.utils.enum import ReceiptType  # noqa: E402

out = os.fdopen(int(os.environ["EVENTS_FD"]), "w")
lock = threading.Lock()
KINDS = (
    "Connected",
    "Disconnected",
    "PairStatus",
    "Message",
    "Receipt",
    "LoggedOut",
    "StreamReplaced",
    "UndecryptableMessage",
    "JoinedGroup",
    "HistorySync",
    "OfflineSyncCompleted",
    "ChatPresence",
    "TemporaryBan",
    "ClientOutdated",
)
received: dict[str, Any] = {}


def emit(**fields: Any) -> None:
    with lock:
        out.write(json.dumps(fields) + "\n")
        out.flush()


def on_event(kind: str, event: Any) -> None:
    fields: dict[str, Any] = {}
    if kind == "Message":
        source, message = event.Info.MessageSource, event.Message
        received[event.Info.ID] = event
        fields = {
            "id": event.Info.ID,
            "text": message.conversation or message.extendedTextMessage.text,
            "chat": f"{source.Chat.User}@{source.Chat.Server}",
            "sender": source.SenderAlt.User,
            "group": source.IsGroup,
            "fields": [field.name for field, _ in message.ListFields()],
        }
    elif kind == "Receipt":
        fields = {"ids": list(event.MessageIDs), "type": int(event.Type)}
    elif kind == "UndecryptableMessage":
        fields = {"id": event.Info.ID}
    elif kind == "JoinedGroup":
        fields = {"group": event.GroupInfo.JID.User}
    elif kind == "HistorySync":
        texts = [m.message.message.conversation for c in event.Data.conversations for m in c.messages]
        fields = {"type": int(event.Data.syncType), "texts": texts}
    emit(event=kind, **fields)


def run(client: NewClient, command: dict[str, Any]) -> Any:
    name = command["command"]
    if name == "send":
        return client.send_message(build_jid(command["to"], command.get("server", "s.whatsapp.net")), command["text"]).ID
    if name == "pair-code":
        return client.PairPhone(command["number"], False)
    if name == "create-group":
        return client.create_group("team", [build_jid(number) for number in command["members"]]).JID.User
    if name == "send-document":
        document = client.build_document_message(
            bytes.fromhex(command["data"]), filename="x.bin", mimetype="application/octet-stream"
        )
        return client.send_message(build_jid(command["to"]), document).ID
    if name == "download":
        return client.download_any(received[command["id"]].Message).hex()
    if name == "mark-read":
        source = received[command["id"]].Info.MessageSource
        client.mark_read(command["id"], chat=source.Chat, sender=source.Sender, receipt=ReceiptType.READ)
        return None
    if name == "on-whatsapp":
        return [[answer.Query, answer.IsIn] for answer in client.is_on_whatsapp(*command["numbers"])]
    if name == "set-name":
        client.set_profile_name(command["text"])
        return None
    if name == "logout":
        client.logout()
        return None
    raise ValueError(name)


def main() -> None:
    client = NewClient(sys.argv[1], uuid=sys.argv[2])
    client.event.qr(lambda _, data: emit(event="QR", qr=data.decode()))
    for kind in KINDS:
        client.event(getattr(events, f"{kind}Ev"))(lambda _, event, kind=kind: on_event(kind, event))

    def connect() -> None:
        try:
            client.connect()
            emit(event="returned")
        except Exception as error:
            emit(event="raised", error=f"{type(error).__name__}: {error}")

    threading.Thread(target=connect, daemon=True).start()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            emit(reply=command["number_of_command"], value=run(client, command))
        except Exception as error:
            emit(reply=command["number_of_command"], error=f"{type(error).__name__}: {error}")
    os._exit(0)  # neonize's threads keep the interpreter from ending


main()
