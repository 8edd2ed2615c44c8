"""Messages of every kind: what is composed is read again; secrets, app state and their laws."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_simulator.contacts import compose
from whatsam_simulator.contacts.compose import MediaFacts, Quote, Surroundings
from whatsam_simulator.contacts.content import Content, read
from whatsam_simulator.contacts.details import ContactCard, LinkPreview, Place, Target
from whatsam_simulator.crypto import media
from whatsam_simulator.crypto.app_state import (
    REMOVE,
    AppStateKey,
    CollectionState,
    Mutation,
    decrypt_patch,
    encrypt_patch,
)
from whatsam_simulator.crypto.secrets import POLL_VOTE, Binding
from whatsam_simulator.errors import BadMac, MalformedInput, RequestRefused
from whatsam_simulator.wire.protobuf import decode, encode

TARGET = Target(id="3A01", chat="1@lid", from_me=False, participant="2@lid")
SEALED = media.seal("image", b"pixels")
texts = st.text(min_size=1, max_size=40)


def composed(kind: str) -> bytes:
    """One message of each kind."""
    made = {
        "text": compose.compose_text("hello"),
        "location": compose.compose_location(Place(latitude=1.5, longitude=-2.25, name="here", address="there")),
        "live_location": compose.compose_live_location(Place(latitude=1, longitude=2, sequence=3, accuracy=4), "on"),
        "contact": compose.compose_contacts([ContactCard(name="Ada", vcard="v")]),
        "contacts": compose.compose_contacts([ContactCard(name="Ada", vcard="v")] * 2),
        "poll": compose.compose_poll("question", ["a", "b"], 1, 3),
        "vote": compose.compose_vote(TARGET, b"sealed", b"iv", 1),
        "reaction": compose.compose_reaction(TARGET, "x", 1),
        "edit": compose.compose_edit(TARGET, compose.compose_text("better"), 1),
        "revoke": compose.compose_revoke(TARGET),
        "timer": compose.compose_timer(60, 1),
        "group_invite": compose.compose_group_invite("1@g.us", "code", 1, "name", "come"),
    }
    facts = MediaFacts("a/b", seconds=2, width=3, height=4)
    for each in ("image", "video", "gif", "ptv", "audio", "voice", "document", "sticker"):
        made[each] = compose.compose_media(each, SEALED, "https://host", "/path?x=y", facts)
    return made[kind]


KINDS = (
    *("text", "location", "live_location", "contact", "contacts", "poll", "vote", "reaction", "edit", "revoke"),
    *("timer", "group_invite", "image", "video", "gif", "ptv", "audio", "voice", "document", "sticker"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_composed_is_read_again(kind: str) -> None:
    content = read(composed(kind))
    assert content.kind == kind
    copy = read(compose.compose_own_copy("1@lid", composed(kind)))
    assert (copy.kind, copy.own, copy.destination) == (kind, True, "1@lid")
    assert copy.details == content.details


@pytest.mark.parametrize("kind", ["vote", "reaction", "edit", "revoke"])
def test_what_is_about_another_message_names_it(kind: str) -> None:
    assert read(composed(kind)).details.target == TARGET


def test_details() -> None:
    place = read(composed("live_location"))
    assert (place.text, place.details.place) == ("on", Place(latitude=1, longitude=2, sequence=3, accuracy=4))
    poll = read(composed("poll"))
    assert (poll.text, poll.details.options, poll.details.selectable) == ("question", ["a", "b"], 1)
    assert [card.name for card in read(composed("contacts")).details.contacts] == ["Ada", "Ada"]
    preview = LinkPreview(url="https://example.org", title="t")
    assert read(compose.compose_text("see", preview)).details.preview == preview


KINDS_WITH_CONTEXT = [kind for kind in KINDS if kind not in ("vote", "reaction", "edit", "revoke", "timer")]


@pytest.mark.parametrize("kind", KINDS_WITH_CONTEXT)
def test_context_is_added_to_any_kind_that_has_one(kind: str) -> None:
    quote = Quote("3A02", "3@lid", compose.compose_text("quoted"))
    around = Surroundings(quote, ["4@lid", "5@lid"], expiration=60, forwarded=True)
    content = read(compose.in_ephemeral_wrapper(compose.surrounded(composed(kind), around)))
    details = content.details
    assert content.kind == kind
    assert (details.quoted_id, details.quoted_sender, details.quoted_text) == ("3A02", "3@lid", "quoted")
    assert (details.mentions, details.expiration, details.forwarded) == (["4@lid", "5@lid"], 60, True)
    assert details.ephemeral


def test_a_revocation_has_no_context() -> None:
    with pytest.raises(RequestRefused, match="quote"):
        compose.surrounded(composed("revoke"), Surroundings(forwarded=True))


def test_view_once_and_secrets_stay_visible_through_wrappers() -> None:
    once = compose.compose_media("image", SEALED, "h", "/p", MediaFacts("a/b", view_once=True))
    assert read(once).details.view_once
    secret = os.urandom(32)
    for message in (
        compose.with_secret(composed("poll"), secret),
        compose.compose_own_copy("1@lid", compose.with_secret(composed("poll"), secret)),
    ):
        assert read(message).secret == secret


def test_messages_nested_without_end_are_refused() -> None:
    message = compose.compose_text("deep")
    for _ in range(20):
        message = compose.in_ephemeral_wrapper(message)
    with pytest.raises(MalformedInput):
        read(message)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        content = read(data)
    except MalformedInput:
        return
    assert isinstance(content, Content)


@given(st.floats(allow_nan=False), st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4))
def test_doubles_and_repeated_messages_survive(number: float, parts: list[bytes]) -> None:
    fields = decode(encode((1, number), *((2, encode((n + 1, part))) for n, part in enumerate(parts))))
    assert fields.double(1) == number
    merged = fields.message(2)
    assert [merged.data(n + 1) for n in range(len(parts))] == parts


@given(st.binary(min_size=32, max_size=32), texts, st.binary(max_size=100))
def test_a_vote_opens_only_for_who_it_is_from(secret: bytes, message_id: str, plain: bytes) -> None:
    sealed, iv = Binding(POLL_VOTE, secret, message_id, "1@lid", "2@lid").seal(plain)
    assert Binding(POLL_VOTE, secret, message_id, "1@lid", "2@lid").open(sealed, iv) == plain
    with pytest.raises(BadMac):
        Binding(POLL_VOTE, secret, message_id, "1@lid", "3@lid").open(sealed, iv)


indexes = st.lists(st.sampled_from(["archive", "pin_v1", "mute"]), min_size=1, max_size=1)
mutations = st.builds(Mutation, indexes, st.binary(max_size=50), st.integers(0, 9), st.sampled_from([0, REMOVE]))


@given(st.lists(st.lists(mutations, min_size=1, max_size=3), min_size=1, max_size=5))
def test_app_state_patches_open_again_and_end_in_the_same_hash(patches: list[list[Mutation]]) -> None:
    key = AppStateKey.of(b"\0\0\1\2\3\4", os.urandom(32))
    writer, reader, fresh = CollectionState(), CollectionState(), CollectionState()
    last: dict[str, Mutation] = {}
    for patch in patches:
        data = encrypt_patch(writer, "regular_low", key, patch)
        assert decrypt_patch(data, {key.id: key}) == patch
        reader.apply(data)
        last |= {mutation.index[0]: mutation for mutation in patch}
    assert (reader.hash, reader.version, reader.value_macs) == (writer.hash, len(patches), writer.value_macs)
    kept = [mutation for mutation in last.values() if mutation.operation != REMOVE]
    assert len(reader.value_macs) == len(kept)
    if not kept:
        assert reader.hash == fresh.hash


def test_a_changed_patch_is_refused() -> None:
    key = AppStateKey.of(b"\0\0\1\2\3\4", os.urandom(32))
    data = bytearray(encrypt_patch(CollectionState(), "regular", key, [Mutation(["mute", "1"], b"x", 2)]))
    data[data.index(key.id) - 40] ^= 1
    with pytest.raises((BadMac, MalformedInput)):
        decrypt_patch(bytes(data), {key.id: key})
    with pytest.raises(MalformedInput):
        decrypt_patch(bytes(data), {})
