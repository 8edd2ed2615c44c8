"""One neonize client as a process: commands as JSON lines on standard input, events as JSON lines on EVENTS_FD.

Started by `simulator_rig.py` with the environment that `hook_environment` gives; nothing here knows the simulator.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

logging.basicConfig(level=logging.ERROR)
from google.protobuf.json_format import MessageToDict  # noqa: E402  as below
from google.protobuf.message import Message  # noqa: E402
from neonize import events  # noqa: E402  neonize sets up logging on import; ours comes first
from neonize._binder import ProxySettings  # noqa: E402
from neonize.client import NewClient  # noqa: E402
from neonize.exc import SendAppStateError  # noqa: E402
from neonize.proto import Neonize_pb2  # noqa: E402
from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as waE2E  # noqa: E402
from neonize.utils import build_jid, enum  # noqa: E402
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
    "ConnectFailure",
    "GroupInfo",
    "Presence",
    "Picture",
    "CallOffer",
    "CallAccept",
    "CallTerminate",
    "NewsletterJoin",
    "Blocklist",
    "PrivacySettings",
)
received: dict[str, Any] = {}


def plain(value: Any) -> Any:
    """What JSON has no word for: protobuf messages become dictionaries, bytes hex digits."""
    if isinstance(value, Message):
        return MessageToDict(value)
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if hasattr(value, "__iter__") else str(value)


def emit(**fields: Any) -> None:
    with lock:
        out.write(json.dumps(fields, default=plain) + "\n")
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
            "mine": source.IsFromMe,
            "group": source.IsGroup,
            "fields": [field.name for field, _ in message.ListFields()],
            "message": message,
            "raw": message.SerializeToString(),
            "edit": event.Info.Edit,
        }
    elif kind == "Receipt":
        fields = {"ids": list(event.MessageIDs), "type": int(event.Type)}
    elif kind == "UndecryptableMessage":
        fields = {"id": event.Info.ID}
    elif kind == "JoinedGroup":
        fields = {"group": event.GroupInfo.JID.User}
    elif kind == "HistorySync":
        texts = [m.message.message.conversation for c in event.Data.conversations for m in c.messages]
        fields = {"type": int(event.Data.syncType), "texts": texts, "data": event.Data.SerializeToString()}
    elif kind != "QR":
        fields = {"data": event}
    emit(event=kind, **fields)


def send_document(client: NewClient, to: str, data: str) -> str:
    document = client.build_document_message(bytes.fromhex(data), filename="x.bin", mimetype="application/octet-stream")
    return client.send_message(build_jid(to), document).ID


def mark_read(client: NewClient, id: str) -> None:
    source = received[id].Info.MessageSource
    client.mark_read(id, chat=source.Chat, sender=source.Sender, receipt=ReceiptType.READ)


def evaluate(client: NewClient, expression: str, **variables: Any) -> Any:
    """Any call of neonize: an expression of `client`, `jid`, `received`, and what the test passes."""
    ours = {"MessageToDict": MessageToDict, "waE2E": waE2E, "client": client, "jid": build_jid, "received": received}
    names = {**vars(enum), **ours, "time": time, **variables}
    return eval(expression, names)  # noqa: S307  the expression is the test's own


def decrypt_vote(client: NewClient, id: str) -> Any:
    """`decrypt_poll_vote` of neonize 0.5.2 hands a pointer to a parser of bytes and always fails; its library works."""
    vote = received[id].SerializeToString()
    answer = client._NewClient__client.DecryptPollVote(client.uuid, vote, len(vote))
    model = Neonize_pb2.ReturnFunctionWithError.FromString(answer.contents.get_bytes())
    return model.Error or [option.hex() for option in model.PollVoteMessage.selectedOptions]


def try_set_name(client: NewClient, text: str) -> str:
    try:
        return str(client.set_profile_name(text))
    except SendAppStateError as error:
        return str(error)


COMMANDS: dict[str, Callable[..., Any]] = {
    "send": lambda client, to, text, server: client.send_message(build_jid(to, server), text).ID,
    "pair-code": lambda client, number: client.PairPhone(number, False),
    "create-group": lambda client, members: client.create_group("team", [build_jid(n) for n in members]).JID.User,
    "send-document": send_document,
    "download": lambda client, id: client.download_any(received[id].Message).hex(),
    "mark-read": mark_read,
    "on-whatsapp": lambda client, numbers: [[a.Query, a.IsIn] for a in client.is_on_whatsapp(*numbers)],
    "set-name": lambda client, text: str(client.set_profile_name(text)),
    "evaluate": evaluate,
    "try-set-name": try_set_name,
    "decrypt-vote": decrypt_vote,
    "logout": lambda client: client.logout() and None,
}


def main() -> None:
    client = NewClient(sys.argv[1], uuid=sys.argv[2])
    client.event.qr(lambda _, data: emit(event="QR", qr=data.decode()))
    for kind in KINDS:
        client.event(getattr(events, f"{kind}Ev"))(lambda _, event, kind=kind: on_event(kind, event))

    def connect() -> None:
        try:
            proxy = os.environ.get("CLIENT_PROXY")
            client.connect(ProxySettings(proxy) if proxy else None)
            emit(event="returned")
        except Exception as error:  # noqa: BLE001  the test decides what an error means
            emit(event="raised", error=f"{type(error).__name__}: {error}")

    threading.Thread(target=connect, daemon=True).start()
    for line in sys.stdin:
        asked = json.loads(line)
        number, command = asked.pop("number_of_command"), asked.pop("command")
        try:
            emit(reply=number, value=COMMANDS[command](client, **asked))
        except Exception as error:  # noqa: BLE001  as above
            emit(reply=number, error=f"{type(error).__name__}: {error}")
    os._exit(0)  # neonize's threads keep the interpreter from ending


main()
