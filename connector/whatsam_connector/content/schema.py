"""WhatsApp's end-to-end protobuf as Python classes, made of the table in `fields` when this is imported.

For `building` (out) and `reading` (in). The supervisor must not import the engine's library, which costs 45 MiB and
loads Go; these classes cost 1 MiB. They are registered in a pool of their own, so both may live in one process.

A message of a kind that the table lacks, and every field that it lacks, is kept as it came and written again.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from whatsam_connector.content.fields import TABLE

PACKAGE: Final = "whatsam.content"

_Field = descriptor_pb2.FieldDescriptorProto
SCALARS: Final = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "enum": _Field.TYPE_INT32,
    "fixed32": _Field.TYPE_FIXED32,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}
"""Types of the table. An enum is a number here: a value that we do not know must not be dropped."""


class MalformedMessage(ValueError):
    """Bytes that are no message of WhatsApp's."""


def _file(table: str) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="whatsam/content.proto", package=PACKAGE, syntax="proto2")
    messages: dict[str, descriptor_pb2.DescriptorProto] = {}
    current = ""
    for line in table.splitlines():
        if not line.strip():
            continue
        if not line.startswith(" "):
            current = line.strip()
            outer, _, name = current.rpartition(".")
            owner = messages[outer].nested_type if outer else file.message_type
            messages[current] = owner.add(name=name)
            continue
        name, number, kind = line.split()
        repeated = kind.endswith("*")
        field = messages[current].field.add(
            name=name, number=int(number), label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        )
        scalar = SCALARS.get(kind.rstrip("*"))
        if scalar is None:
            field.type = _Field.TYPE_MESSAGE
            field.type_name = f".{PACKAGE}.{kind.rstrip('*')}"
        else:
            field.type = scalar
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file(TABLE))


def message_class(name: str) -> Any:
    """The class of a message of the table, such as `Message` or `PollCreationMessage.Option`."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


Message: Final = message_class("Message")
"""The content of one message."""
ContextInfo: Final = message_class("ContextInfo")
MessageKey: Final = message_class("MessageKey")
PollVoteMessage: Final = message_class("PollVoteMessage")
"""What a decrypted vote holds: SHA-256 of each chosen option."""
HistorySync: Final = message_class("HistorySync")
WebMessageInfo: Final = message_class("WebMessageInfo")
MediaRetryNotification: Final = message_class("MediaRetryNotification")
SyncActionValue: Final = message_class("SyncActionValue")
"""What was changed in app state."""


def parse(data: bytes, kind: Any = Message) -> Any:
    """A message from its bytes. Raises `MalformedMessage`."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise MalformedMessage("these bytes are no message of WhatsApp's") from error


def text(value: str | bytes) -> str:
    """A string field as text. protobuf gives bytes where the sender's bytes were no UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
