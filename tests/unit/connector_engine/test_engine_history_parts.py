"""History in parts says the same as in one piece."""

import pylibmagic  # noqa: F401 - brings the library that neonize's import asks for
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neonize.proto.waHistorySync.WAWebProtobufsHistorySync_pb2 import (
    Conversation,
    HistorySync,
    HistorySyncMsg,
    Pushname,
)
from neonize.proto.waWeb.WAWebProtobufsWeb_pb2 import WebMessageInfo

from whatsam_connector.engine.history import PART_MESSAGES, NotProtobuf, field_content, parts

LIMIT = 300


def message(number: int, size: int) -> HistorySyncMsg:
    info = WebMessageInfo()
    info.key.ID = f"m{number}"
    info.message.conversation = "x" * size
    return HistorySyncMsg(message=info, msgOrderID=number)


def conversation(number: int, sizes: list[int]) -> Conversation:
    return Conversation(
        ID=f"{number}@lid",
        name=f"name {number}",
        unreadCount=number,
        messages=[message(index, size) for index, size in enumerate(sizes)],
    )


histories = st.builds(
    lambda conversations, names: HistorySync(
        syncType=HistorySync.RECENT,
        chunkOrder=3,
        progress=50,
        conversations=[conversation(number, sizes) for number, sizes in enumerate(conversations)],
        pushnames=[Pushname(ID=f"{number}@lid", pushname=name) for number, name in enumerate(names)],
    ),
    st.lists(st.lists(st.integers(0, 400), max_size=6), max_size=6),
    st.lists(st.text(max_size=20), max_size=10),
)


@given(histories, st.integers(50, 2000))
@settings(max_examples=150, deadline=None)
def test_the_parts_say_the_same_as_the_whole(history: HistorySync, limit: int) -> None:
    pieces = [HistorySync.FromString(piece) for piece in parts(history.SerializeToString(), limit)]
    assert {(piece.syncType, piece.chunkOrder, piece.progress) for piece in pieces} == {(HistorySync.RECENT, 3, 50)}
    assert [name for piece in pieces for name in piece.pushnames] == list(history.pushnames)

    joined: dict[str, Conversation] = {}
    for piece in pieces:
        for part in piece.conversations:
            if part.ID in joined:
                joined[part.ID].messages.extend(part.messages)
            else:
                joined[part.ID] = Conversation.FromString(part.SerializeToString())
    assert list(joined.values()) == list(history.conversations)


def test_a_part_is_not_larger_than_needed() -> None:
    history = HistorySync(syncType=HistorySync.FULL, conversations=[conversation(1, [100] * 50)] * 3)
    pieces = parts(history.SerializeToString(), LIMIT)
    assert len(pieces) > 30
    assert max(len(piece) for piece in pieces) <= LIMIT + 20  # the conversation's own length and tag


def test_what_fits_is_left_as_it_is() -> None:
    history = HistorySync(syncType=HistorySync.RECENT, conversations=[conversation(1, [5, 6])])
    (piece,) = parts(history.SerializeToString())
    assert HistorySync.FromString(piece) == history


def test_a_long_conversation_comes_in_parts_of_some_messages() -> None:
    history = HistorySync(syncType=HistorySync.RECENT, conversations=[conversation(1, [1] * (2 * PART_MESSAGES + 1))])
    pieces = [HistorySync.FromString(piece) for piece in parts(history.SerializeToString())]
    assert [len(each.messages) for piece in pieces for each in piece.conversations] == [PART_MESSAGES, PART_MESSAGES, 1]


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_else(data: bytes) -> None:
    try:
        pieces = parts(data, 10)
    except NotProtobuf:
        return
    assert pieces


def test_the_content_of_neonizes_envelope() -> None:
    history = HistorySync(syncType=HistorySync.RECENT).SerializeToString()
    assert field_content(b"\x0a" + bytes([len(history)]) + history, 1) == history
    assert field_content(b"\x0a" + bytes([len(history)]) + history, 2) == b""
    with pytest.raises(NotProtobuf):
        field_content(b"\x0a\x05x", 1)
