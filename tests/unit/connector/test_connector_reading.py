"""What a message from WhatsApp is, from protobufs that the engine's own classes have built."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    ContextInfo,
    DeviceSentMessage,
    FutureProofMessage,
    Message,
    ProtocolMessage,
)

from whatsam_connector.content.reading import (
    EditContent,
    EncryptedReaction,
    EphemeralContent,
    MessageContent,
    Nothing,
    ReactionContent,
    RevokeContent,
    VoteContent,
    read,
)
from whatsam_core.messages import BODIES, MessageType

KEY = bytes(range(32))
FILE: dict[str, Any] = {
    "directPath": "/v/t62.7118-24/1?ccb=1",
    "mediaKey": KEY,
    "fileSHA256": b"s" * 32,
    "fileEncSHA256": b"e" * 32,
    "fileLength": 1234,
    "URL": "https://elsewhere.example/",
}
CONTEXT = ContextInfo(
    stanzaID="QUOTED",
    participant="77@lid",
    quotedMessage=Message(conversation="earlier"),
    mentionedJID=["88@lid"],
    isForwarded=True,
    forwardingScore=2,
    expiration=86400,
)
PLACE = {"degreesLatitude": 52.5, "degreesLongitude": 13.25}
CARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Ada\nTEL;type=CELL;waid=491511000001:+49 1511 000001\nEND:VCARD"


def message(**fields: Any) -> bytes:
    return Message(**fields).SerializeToString()


def said(raw: bytes) -> MessageContent:
    found = read(raw)
    assert isinstance(found, MessageContent), found
    return found


KINDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("text", {"conversation": "hello"}, {"text": "hello"}),
    ("text", {"extendedTextMessage": {"text": "hi"}}, {"text": "hi"}),
    ("image", {"imageMessage": {**FILE, "mimetype": "image/jpeg", "caption": "see", "width": 4, "height": 3}},
     {"caption": "see", "width": 4, "height": 3}),
    ("video", {"videoMessage": {**FILE, "mimetype": "video/mp4", "seconds": 7}}, {"seconds": 7}),
    ("video", {"ptvMessage": {**FILE, "seconds": 7}}, {"seconds": 7, "videoNote": True}),
    ("gif", {"videoMessage": {**FILE, "gifPlayback": True}}, {}),
    ("audio", {"audioMessage": {**FILE, "seconds": 9}}, {"seconds": 9}),
    ("voice", {"audioMessage": {**FILE, "PTT": True, "waveform": bytes(64)}},
     {"waveform": base64.b64encode(bytes(64)).decode()}),
    ("document", {"documentMessage": {**FILE, "fileName": "a.pdf", "caption": "read"}}, {"caption": "read"}),
    ("sticker", {"stickerMessage": {**FILE, "isAnimated": True}}, {"animated": True}),
    ("location", {"locationMessage": {**PLACE, "name": "here", "address": "street"}},
     {"location": {"latitude": 52.5, "longitude": 13.25, "name": "here", "address": "street"}}),
    ("live_location", {"liveLocationMessage": {**PLACE, "caption": "moving", "sequenceNumber": 3}},
     {"location": {"latitude": 52.5, "longitude": 13.25}, "caption": "moving", "sequence": 3}),
    ("contact", {"contactMessage": {"displayName": "Ada", "vcard": CARD}},
     {"contacts": [{"name": "Ada", "vcard": CARD, "phone": "+491511000001"}]}),
    ("contact", {"contactsArrayMessage": {"displayName": "two", "contacts": [{"displayName": "A"},
                                                                           {"displayName": "B"}]}},
     {"contacts": [{"name": "A"}, {"name": "B"}], "text": "two"}),
    ("poll", {"pollCreationMessage": {"name": "when?", "options": [{"optionName": "a"}, {"optionName": "b"}],
                                      "selectableOptionsCount": 1}},
     {"poll": {"question": "when?", "options": ["a", "b"], "selectable": 1}}),
    ("poll", {"pollCreationMessageV3": {"name": "when?", "options": [{"optionName": "a"}]}},
     {"poll": {"question": "when?", "options": ["a"], "selectable": 0}}),
    ("text", {"groupInviteMessage": {"groupJID": "1@g.us", "inviteCode": "abc", "groupName": "g", "caption": "join"}},
     {"text": "join", "groupInvite": {"group": "1@g.us", "name": "g", "code": "abc"}}),
    ("system", {"albumMessage": {"expectedImageCount": 2, "expectedVideoCount": 1}},
     {"system": {"kind": "album", "images": 2, "videos": 1}}),
    ("system", {"pinInChatMessage": {"key": {"ID": "WA1"}, "type": 1}},
     {"system": {"kind": "message_pinned", "waId": "WA1"}}),
    ("unknown", {"buttonsMessage": {"contentText": "choose", "footerText": "foot",
                                    "buttons": [{"buttonText": {"displayText": "yes"}}]}},
     {"text": "choose\nfoot\nyes"}),
    ("unknown", {"listMessage": {"title": "menu", "sections": [{"rows": [{"title": "soup"}]}]}},
     {"text": "menu\nsoup"}),
    ("unknown", {"templateMessage": {"hydratedTemplate": {"hydratedContentText": "offer"}}}, {"text": "offer"}),
    ("unknown", {"listResponseMessage": {"title": "soup"}}, {"text": "soup"}),
    ("unknown", {"chat": {"displayName": "new kind"}}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "body"), KINDS, ids=[f"{kind}-{next(iter(f))}" for kind, f, _ in KINDS])
def test_each_kind_is_read(kind: str, fields: dict[str, Any], body: dict[str, Any]) -> None:
    raw = message(**fields)
    found = said(raw)
    kept = found.body.pop("raw", None)
    assert (found.type, found.body) == (kind, body)
    assert found.type in set(MessageType)
    if kind not in ("text", "system"):
        assert kept is not None
        assert Message.FromString(base64.b64decode(kept)) == Message.FromString(raw)


@pytest.mark.parametrize("field", ["imageMessage", "videoMessage", "audioMessage", "documentMessage", "stickerMessage"])
def test_a_file_is_named_by_its_path_and_never_by_its_url(field: str) -> None:
    found = said(message(**{field: {**FILE, "mimetype": "application/x-thing"}})).media
    assert found is not None
    assert (found.direct_path, found.media_key, found.size) == (FILE["directPath"], KEY, 1234)
    assert (found.sha256, found.enc_sha256, found.mimetype) == (b"s" * 32, b"e" * 32, "application/x-thing")


def test_a_type_that_is_none_does_not_travel_in_a_header() -> None:
    found = said(message(imageMessage={**FILE, "mimetype": "image/png\r\nX-Evil: 1"})).media
    assert found is not None
    assert found.mimetype == "application/octet-stream"
    voice = said(message(audioMessage={**FILE, "mimetype": "audio/ogg; codecs=opus"})).media
    assert voice is not None
    assert voice.mimetype == "audio/ogg; codecs=opus"


@pytest.mark.parametrize("missing", ["directPath", "mediaKey"])
def test_a_file_that_cannot_be_fetched_is_no_file(missing: str) -> None:
    fields = {name: value for name, value in FILE.items() if name != missing}
    assert said(message(imageMessage=fields)).media is None


def test_quoted_mentions_and_forwarded_are_read_from_the_context() -> None:
    found = said(message(extendedTextMessage={"text": "answer", "contextInfo": CONTEXT}))
    assert found.body == {
        "text": "answer",
        "mentions": ["88@lid"],
        "forwarded": True,
        "forwardingScore": 2,
        "quoted": {"waId": "QUOTED", "sender": "77@lid", "text": "earlier"},
    }
    assert (found.quoted_wa_id, found.expiration) == ("QUOTED", 86400)


@pytest.mark.parametrize("wrapper", ["viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension"])
def test_view_once_is_marked_and_its_message_not_kept(wrapper: str) -> None:
    inside = Message(imageMessage=FILE)
    found = said(message(**{wrapper: FutureProofMessage(message=inside)}))
    assert (found.type, found.body) == ("image", {"viewOnce": True})
    opened = read(inside.SerializeToString(), view_once=True)
    assert isinstance(opened, MessageContent)
    assert opened.body == {"viewOnce": True}


@pytest.mark.parametrize(
    "wrapper", ["ephemeralMessage", "documentWithCaptionMessage", "groupMentionedMessage", "associatedChildMessage"]
)
def test_wrappers_are_opened(wrapper: str) -> None:
    assert said(message(**{wrapper: {"message": {"conversation": "inside"}}})).body == {"text": "inside"}


def test_what_an_own_device_sent_is_opened_with_its_secret() -> None:
    inside = Message(pollCreationMessage={"name": "?"}, messageContextInfo={"messageSecret": KEY})
    found = said(message(deviceSentMessage=DeviceSentMessage(destinationJID="1@lid", message=inside)))
    assert (found.type, found.secret) == ("poll", KEY)


def test_edits_name_the_changed_fields() -> None:
    edit = ProtocolMessage(
        type=ProtocolMessage.MESSAGE_EDIT, key={"ID": "WA1", "fromMe": True}, editedMessage={"conversation": "better"}
    )
    for raw in (message(protocolMessage=edit), message(editedMessage={"message": {"protocolMessage": edit}})):
        found = read(raw)
        assert isinstance(found, EditContent)
        assert (found.key.wa_id, found.changes) == ("WA1", {"text": "better", "mentions": []})


def test_only_what_says_so_deletes() -> None:
    deletion = read(message(protocolMessage={"type": 0, "key": {"ID": "WA1", "participant": "7@lid"}}))
    assert isinstance(deletion, RevokeContent)
    assert (deletion.key.wa_id, deletion.key.participant) == ("WA1", "7@lid")
    assert read(message(protocolMessage={"key": {"ID": "WA1"}})) == Nothing("protocol")


def test_reactions_votes_and_timers() -> None:
    key = {"ID": "WA1", "remoteJID": "1@lid"}
    reaction = read(message(reactionMessage={"key": key, "text": "👍"}))
    assert isinstance(reaction, ReactionContent)
    assert (reaction.key.wa_id, reaction.emoji) == ("WA1", "👍")
    vote = read(message(pollUpdateMessage={"pollCreationMessageKey": key, "vote": {"encPayload": b"x", "encIV": b"y"}}))
    assert isinstance(vote, VoteContent)
    assert (vote.payload, vote.iv) == (b"x", b"y")
    hidden = read(message(encReactionMessage={"targetMessageKey": key, "encPayload": b"x", "encIV": b"y"}))
    assert isinstance(hidden, EncryptedReaction)
    timer = read(message(protocolMessage={"type": 3, "ephemeralExpiration": 604800}))
    assert timer == EphemeralContent(604800)


def test_keys_and_notices_are_nothing() -> None:
    assert read(message(senderKeyDistributionMessage={"groupID": "1@g.us"})) == Nothing("keys")
    assert read(message(protocolMessage={"type": 6})) == Nothing("protocol")
    assert read(b"") == Nothing("empty")


def test_texts_become_storable() -> None:
    assert said(message(conversation="a\x00b")).body["text"] == "a\ufffdb"
    broken = b"\x0a\x02\xff\xfe"  # a conversation that is no UTF-8
    assert said(broken).body["text"] == "\ufffd\ufffd"


def test_a_place_that_is_none_is_still_json() -> None:
    place = said(message(locationMessage={"degreesLatitude": float("nan"), "degreesLongitude": float("inf")}))
    assert place.body["location"] == {"latitude": 0.0, "longitude": 0.0}


def test_endless_wrappers_end() -> None:
    inside = Message(conversation="deep")
    for _ in range(50):
        inside = Message(ephemeralMessage=FutureProofMessage(message=inside))
    assert read(inside.SerializeToString()) == Nothing("nested")


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    assert read(raw) is not None


@given(st.sampled_from(KINDS), st.data())
def test_no_damage_breaks_the_reader(kind: tuple[str, dict[str, Any], dict[str, Any]], data: st.DataObject) -> None:
    raw = bytearray(message(**kind[1]))
    for _ in range(3):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert read(bytes(raw)) is not None


def test_bodies_have_the_names_that_sending_uses() -> None:
    for kind, fields, _body in KINDS:
        model = BODIES.get(MessageType(kind))
        if model is None or kind in ("contact", "sticker"):
            continue
        found = dict(said(message(**fields)).body)
        known = {field.alias or name for name, field in model.model_fields.items()}
        extra = {"videoNote", "sequence", "groupInvite", "animated", "lottie", "pages"}
        assert set(found) - extra <= known, (kind, set(found) - known)
