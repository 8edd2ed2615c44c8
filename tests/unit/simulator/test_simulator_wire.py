"""Binary XML and protobuf: what is packed is unpacked, and garbage is refused in one way only."""

from __future__ import annotations

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_laws import law

from whatsam_simulator.errors import MalformedInput
from whatsam_simulator.wire.binary_xml import MAX_DEPTH, MAX_INFLATED, Codec
from whatsam_simulator.wire.jid import Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import decode, encode

SINGLE = ["", "xmlstreamstart", "xmlstreamend", "s.whatsapp.net", "type", "iq", "message", "lid", "g.us"]
DICTIONARIES = [["read-self", "active"], ["fbns"], ["reject"], ["64"]]
CODEC = Codec(SINGLE, DICTIONARIES)

texts = st.one_of(st.sampled_from([token for token in SINGLE if token] + ["read-self", "64"]), st.text(max_size=20))
jids = st.builds(
    Jid, st.text("0123456789", min_size=1, max_size=15), st.sampled_from(["s.whatsapp.net", "lid"]), st.integers(0, 255)
)
group_jids = st.builds(Jid, st.text("0123456789-", max_size=20), st.just("g.us"))
leaves = st.one_of(st.none(), st.binary(max_size=20))
attributes = st.dictionaries(texts, st.one_of(texts, jids, group_jids), max_size=3)
nodes = st.recursive(
    st.builds(Node, texts, attributes, leaves),
    lambda inner: st.builds(Node, texts, attributes, st.lists(inner, min_size=1, max_size=4)),
    max_leaves=5,
)


@law
@given(nodes)
def test_a_node_survives_packing(node: Node) -> None:
    assert CODEC.unpack(CODEC.pack(node)) == node


@law
@given(nodes)
def test_a_compressed_node_is_read(node: Node) -> None:
    assert CODEC.unpack(b"\2" + zlib.compress(CODEC.pack(node)[1:])) == node


@pytest.mark.parametrize("size", [255, 256, 1 << 20])
def test_long_content_and_lists(size: int) -> None:
    node = element("message", {}, [element("iq", {}, bytes(size)), *(element("iq") for _ in range(300))])
    assert CODEC.unpack(CODEC.pack(node)) == node


@law
@given(st.binary(max_size=200))
def test_garbage_is_malformed_or_a_node(data: bytes) -> None:
    with suppress(MalformedInput):
        CODEC.unpack(data)


@law
@given(nodes, st.data())
def test_a_cut_or_lengthened_frame_is_malformed(node: Node, data: st.DataObject) -> None:
    frame = CODEC.pack(node)
    with pytest.raises(MalformedInput):
        CODEC.unpack(frame[: data.draw(st.integers(0, len(frame) - 1))])
    with pytest.raises(MalformedInput):
        CODEC.unpack(frame + b"\0")


def test_nesting_and_inflation_are_bounded() -> None:
    deep = element("iq")
    for _ in range(MAX_DEPTH + 1):
        deep = element("iq", {}, [deep])
    with pytest.raises(MalformedInput, match="deep"):
        CODEC.unpack(CODEC.pack(deep))
    with pytest.raises(MalformedInput, match="too long"):
        CODEC.unpack(b"\2" + zlib.compress(bytes(MAX_INFLATED + 1)))


@law
@given(st.lists(st.tuples(st.integers(1, 500), st.one_of(st.integers(0, (1 << 64) - 1), st.binary(max_size=50)))))
def test_protobuf_fields_survive(fields: list[tuple[int, int | bytes]]) -> None:
    decoded = decode(encode(*fields))
    for number, value in dict(fields).items():
        read = decoded.integer(number) if isinstance(value, int) else decoded.data(number)
        assert read == value


@law
@given(st.binary(max_size=200), st.integers(1, 20))
def test_garbage_protobuf_is_malformed_or_read(data: bytes, number: int) -> None:
    with suppress(MalformedInput):
        decode(data).message(number).text(1)


@law
@given(jids)
def test_an_address_survives_text(jid: Jid) -> None:
    assert Jid.parse(str(jid)) == jid
