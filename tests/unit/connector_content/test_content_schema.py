"""Our table of WhatsApp's fields says what the engine's own descriptors say, so that it cannot drift."""

import builtins
import contextlib
import importlib
from typing import Any

import pytest
from google.protobuf import runtime_version
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from neonize.proto.waCommon import WACommon_pb2
from neonize.proto.waE2E import WAWebProtobufsE2E_pb2
from neonize.proto.waHistorySync import WAWebProtobufsHistorySync_pb2
from neonize.proto.waMmsRetry import WAMmsRetry_pb2
from neonize.proto.waWeb import WAWebProtobufsWeb_pb2

from whatsam_connector.content import schema
from whatsam_connector.content.fields import TABLE, HistoryType, ProtocolType


def _sync_action() -> Any:
    """This one of neonize 0.5.2 uses a name that it does not import."""
    vars(builtins)["_runtime_version"] = runtime_version
    try:
        return importlib.import_module("neonize.proto.waSyncAction.WASyncAction_pb2")
    finally:
        del vars(builtins)["_runtime_version"]


_MODULES: tuple[Any, ...] = (
    WAWebProtobufsE2E_pb2,
    WACommon_pb2,
    WAWebProtobufsHistorySync_pb2,
    WAWebProtobufsWeb_pb2,
    WAMmsRetry_pb2,
    _sync_action(),
)
_NAMES = [line for line in TABLE.splitlines() if line and not line.startswith(" ")]


def _theirs(name: str) -> Descriptor:
    outer, *inner = name.split(".")
    found = [module.DESCRIPTOR.message_types_by_name.get(outer) for module in _MODULES]
    descriptor = next(one for one in found if one is not None)
    for part in inner:
        descriptor = descriptor.nested_types_by_name[part]
    return descriptor


def _kind(field: FieldDescriptor) -> int:
    return FieldDescriptor.TYPE_INT32 if field.type == FieldDescriptor.TYPE_ENUM else field.type


@pytest.mark.parametrize("name", _NAMES)
def test_fields_have_whatsapps_names_numbers_and_types(name: str) -> None:
    ours, theirs = schema.message_class(name).DESCRIPTOR, _theirs(name)
    for field in ours.fields:
        other = theirs.fields_by_name[field.name]
        assert (field.number, field.is_repeated) == (other.number, other.is_repeated), field.name
        assert field.type == _kind(other), field.name
        if field.message_type is not None:
            assert other.message_type is not None
            plain = field.message_type.full_name.removeprefix(f"{schema.PACKAGE}.")
            assert plain == other.message_type.full_name.partition(".")[2], field.name


def test_enums_mean_what_they_mean() -> None:
    for ours, theirs in (
        (ProtocolType, WAWebProtobufsE2E_pb2.ProtocolMessage.Type),
        (HistoryType, WAWebProtobufsHistorySync_pb2.HistorySync.HistorySyncType),
    ):
        for name, number in vars(ours).items():
            if name.isupper():
                assert theirs.Value(name) == number


def test_what_we_do_not_know_is_kept() -> None:
    theirs = WAWebProtobufsE2E_pb2.Message()
    theirs.imageMessage.caption = "x"
    theirs.imageMessage.qrURL = "not in our table"
    theirs.sendPaymentMessage.background.ID = "neither is this"
    data = theirs.SerializeToString()
    ours = schema.parse(data)
    ours.imageMessage.caption = "y"
    again = WAWebProtobufsE2E_pb2.Message.FromString(ours.SerializeToString())
    assert again.imageMessage.caption == "y"
    assert again.imageMessage.qrURL == "not in our table"
    assert again.sendPaymentMessage.background.ID == "neither is this"


def test_unknown_enum_values_survive() -> None:
    message = schema.Message()
    message.protocolMessage.type = 4711
    assert schema.parse(message.SerializeToString()).protocolMessage.type == 4711


def test_bytes_that_are_no_text_become_text() -> None:
    assert schema.text(schema.parse(b"\x0a\x02\xff\xfe").conversation) == "\ufffd\ufffd"
    assert schema.text("ö") == "ö"


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_name_or_read(data: bytes) -> None:
    with contextlib.suppress(schema.MalformedMessage):
        schema.parse(data)
