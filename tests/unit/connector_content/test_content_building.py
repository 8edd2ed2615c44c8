"""Each kind of outgoing message, read back with the engine's own protobuf classes."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message, ProtocolMessage

from whatsam_connector.content.building import build, plain_text
from whatsam_connector.content.context import Named, Surroundings, Uploaded
from whatsam_core.messages import InvalidBody, parse_body

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
CHAT = "491511000002@s.whatsapp.net"
GROUP = "120363021234567890@g.us"
OTHER = "491511000003@s.whatsapp.net"
FILE = Uploaded(
    url="https://mmg.whatsapp.net/v/x",
    direct_path="/v/x?hash=1",
    media_key=b"k" * 32,
    file_sha256=b"s" * 32,
    file_enc_sha256=b"e" * 32,
    file_length=4711,
    at=NOW,
)
MEDIA = {"sha256": (b"s" * 32).hex(), "size": 4711, "mimetype": "image/jpeg"}
THUMBNAIL = base64.b64encode(b"\xff\xd8small").decode()


def built(kind: str, body: dict[str, Any], **around: Any) -> Message:
    surroundings = Surroundings(now=NOW, **around)
    return Message.FromString(build(kind, parse_body(kind, body), surroundings))


def file(part: Any) -> tuple[Any, ...]:
    return (part.URL, part.directPath, part.mediaKey, part.fileSHA256, part.fileEncSHA256, part.fileLength)


FILE_FIELDS = (FILE.url, FILE.direct_path, FILE.media_key, FILE.file_sha256, FILE.file_enc_sha256, FILE.file_length)


@given(st.text(min_size=1, max_size=300).filter(lambda text: not any(0xD800 <= ord(c) <= 0xDFFF for c in text)))
def test_a_plain_text_is_a_conversation(text: str) -> None:
    assert Message.FromString(plain_text(text)) == Message(conversation=text)
    assert plain_text(text) == build("text", parse_body("text", {"text": text}), Surroundings(now=NOW))


def test_text_with_surroundings() -> None:
    message = built(
        "text",
        {
            "text": "@491511000003 look",
            "mentions": [OTHER],
            "quoted": {"waId": "3EB0AA", "sender": OTHER, "type": "text", "text": "before"},
        },
        quoted=Named(GROUP, "3EB0AA", OTHER, from_me=False, type="text"),
        ephemeral_seconds=604_800,
    )
    part = message.extendedTextMessage
    assert part.text == "@491511000003 look"
    assert list(part.contextInfo.mentionedJID) == [OTHER]
    assert (part.contextInfo.stanzaID, part.contextInfo.participant) == ("3EB0AA", OTHER)
    assert part.contextInfo.quotedMessage == Message(conversation="before")
    assert part.contextInfo.expiration == 604_800


def test_a_quoted_picture_is_quoted_as_one() -> None:
    body = {"text": "nice", "quoted": {"waId": "A", "sender": OTHER, "type": "image", "text": "the caption"}}
    message = built("text", body, quoted=Named(CHAT, "A", OTHER, from_me=False, type="image"))
    assert message.extendedTextMessage.contextInfo.quotedMessage.imageMessage.caption == "the caption"


def test_a_link_preview() -> None:
    preview = {"url": "https://example.org/a", "title": "T", "description": "D", "thumbnail": THUMBNAIL}
    part = built("text", {"text": "see https://example.org/a", "preview": preview}).extendedTextMessage
    assert (part.matchedText, part.title, part.description) == ("https://example.org/a", "T", "D")
    assert part.JPEGThumbnail == b"\xff\xd8small"


def test_an_image() -> None:
    body = {"media": MEDIA, "caption": "c", "width": 640, "height": 480, "thumbnail": THUMBNAIL}
    part = built("image", body, uploaded=FILE).imageMessage
    assert file(part) == FILE_FIELDS
    assert (part.mimetype, part.caption, part.width, part.height) == ("image/jpeg", "c", 640, 480)
    assert part.JPEGThumbnail == b"\xff\xd8small"
    assert part.mediaKeyTimestamp == int(NOW.timestamp())


@pytest.mark.parametrize(("kind", "plays"), [("video", False), ("gif", True)])
def test_videos_and_gifs(kind: str, plays: bool) -> None:
    body = {"media": {**MEDIA, "mimetype": "video/mp4"}, "seconds": 7, "width": 4, "height": 3}
    part = built(kind, body, uploaded=FILE).videoMessage
    assert file(part) == FILE_FIELDS
    assert (part.mimetype, part.seconds, part.gifPlayback) == ("video/mp4", 7, plays)


def test_audio_and_voice() -> None:
    audio = built("audio", {"media": {**MEDIA, "mimetype": "audio/mpeg"}, "seconds": 9}, uploaded=FILE).audioMessage
    assert (audio.mimetype, audio.seconds, audio.PTT) == ("audio/mpeg", 9, False)
    waveform = base64.b64encode(bytes(range(64))).decode()
    body = {"media": {**MEDIA, "mimetype": "audio/ogg"}, "seconds": 3, "waveform": waveform}
    voice = built("voice", body, uploaded=FILE).audioMessage
    assert (voice.mimetype, voice.PTT, voice.waveform) == ("audio/ogg; codecs=opus", True, bytes(range(64)))
    assert file(voice) == FILE_FIELDS


def test_a_document_with_a_caption_travels_in_an_envelope() -> None:
    media = {**MEDIA, "mimetype": "application/pdf", "fileName": "bill.pdf"}
    bare = built("document", {"media": media}, uploaded=FILE).documentMessage
    assert (bare.fileName, bare.title, bare.mimetype) == ("bill.pdf", "bill.pdf", "application/pdf")
    message = built("document", {"media": media, "caption": "yours"}, uploaded=FILE)
    inner = message.documentWithCaptionMessage.message.documentMessage
    assert (inner.caption, inner.fileName, file(inner)) == ("yours", "bill.pdf", FILE_FIELDS)


def test_a_sticker() -> None:
    body = {"media": {**MEDIA, "mimetype": "image/webp"}, "width": 512, "height": 512, "animated": True}
    part = built("sticker", body, uploaded=FILE, ephemeral_seconds=86_400).stickerMessage
    assert (part.mimetype, part.width, part.isAnimated, file(part)) == ("image/webp", 512, True, FILE_FIELDS)
    assert part.contextInfo.expiration == 86_400


@pytest.mark.parametrize(
    ("kind", "envelope", "field"),
    [
        ("image", "viewOnceMessageV2", "imageMessage"),
        ("video", "viewOnceMessageV2", "videoMessage"),
        ("voice", "viewOnceMessageV2Extension", "audioMessage"),
    ],
)
def test_view_once(kind: str, envelope: str, field: str) -> None:
    message = built(kind, {"media": MEDIA, "viewOnce": True}, uploaded=FILE)
    part = getattr(getattr(message, envelope).message, field)
    assert part.viewOnce
    assert file(part) == FILE_FIELDS


def test_locations() -> None:
    place = {"latitude": 52.5, "longitude": 13.4, "name": "Here", "address": "Street 1", "accuracy": 12}
    part = built("location", {"location": place}).locationMessage
    assert (part.degreesLatitude, part.degreesLongitude, part.name, part.address) == (52.5, 13.4, "Here", "Street 1")
    moving = {"latitude": -1.5, "longitude": 2.5, "speed": 3.5, "heading": 90}
    live = built("live_location", {"location": moving, "caption": "on my way"}).liveLocationMessage
    assert (live.degreesLatitude, live.speedInMps, live.degreesClockwiseFromMagneticNorth) == (-1.5, 3.5, 90)
    assert (live.caption, live.sequenceNumber) == ("on my way", 1)


def test_contact_cards() -> None:
    one = built("contact", {"contacts": [{"name": "Ada; L, \\ovelace\nX", "phone": "491511000009"}]}).contactMessage
    assert one.displayName == "Ada; L, \\ovelace\nX"
    assert one.vcard.splitlines() == [
        "BEGIN:VCARD",
        "VERSION:3.0",
        "N:;Ada\\; L\\, \\\\ovelace\\nX;;;",
        "FN:Ada\\; L\\, \\\\ovelace\\nX",
        "TEL;type=CELL;type=VOICE;waid=491511000009:+491511000009",
        "END:VCARD",
    ]
    many = built(
        "contact", {"contacts": [{"name": "A", "vcard": "BEGIN:VCARD\nEND:VCARD"}, {"name": "B", "phone": "12345"}]}
    )
    assert many.contactsArrayMessage.displayName == "2 contacts"
    assert [card.displayName for card in many.contactsArrayMessage.contacts] == ["A", "B"]
    assert many.contactsArrayMessage.contacts[0].vcard == "BEGIN:VCARD\nEND:VCARD"


def test_a_poll_carries_its_secret() -> None:
    secret = bytes(range(32))
    poll = {
        "question": "When?",
        "options": ["Mon", "Tue"],
        "selectable": 2,
        "secret": base64.b64encode(secret).decode(),
    }
    message = built("poll", {"poll": poll})
    part = message.pollCreationMessage
    assert (part.name, [one.optionName for one in part.options], part.selectableOptionsCount) == (
        "When?",
        ["Mon", "Tue"],
        2,
    )
    assert message.messageContextInfo.messageSecret == secret


@pytest.mark.parametrize("secret", [None, "", "AAAA", "not base64!"])
def test_a_poll_without_a_secret_is_refused(secret: str | None) -> None:
    with pytest.raises(InvalidBody):
        built("poll", {"poll": {"question": "?", "options": ["a", "b"], "secret": secret}})


def test_reactions_name_the_author_in_groups_only() -> None:
    body = {"reaction": {"emoji": "👍"}, "target": {"waId": "A", "sender": OTHER, "fromMe": False}}
    part = built("reaction", body, target=Named(GROUP, "A", OTHER, from_me=False)).reactionMessage
    assert (part.text, part.key.ID, part.key.remoteJID) == ("👍", "A", GROUP)
    assert (part.key.fromMe, part.key.participant) == (False, OTHER)
    assert part.senderTimestampMS == int(NOW.timestamp() * 1000)
    person = built("reaction", body, target=Named(CHAT, "A", CHAT, from_me=False)).reactionMessage
    assert not person.key.HasField("participant")
    own = built("reaction", body, target=Named(GROUP, "A", OTHER, from_me=True)).reactionMessage
    assert own.key.fromMe
    assert not own.key.HasField("participant")


def test_an_edit() -> None:
    body = {"text": "better", "target": {"waId": "A"}}
    message = built("edit", body, target=Named(CHAT, "A", None, from_me=True, type="text"))
    part = message.editedMessage.message.protocolMessage
    assert part.type == ProtocolMessage.MESSAGE_EDIT
    assert (part.key.ID, part.key.fromMe, part.key.remoteJID) == ("A", True, CHAT)
    assert part.editedMessage == Message(conversation="better")
    caption = built("edit", body, target=Named(CHAT, "A", None, from_me=True, type="image"))
    assert caption.editedMessage.message.protocolMessage.editedMessage.imageMessage.caption == "better"
    mention = built("edit", {**body, "mentions": [OTHER]}, target=Named(CHAT, "A", None, from_me=True, type="text"))
    edited = mention.editedMessage.message.protocolMessage.editedMessage.extendedTextMessage
    assert (edited.text, list(edited.contextInfo.mentionedJID)) == ("better", [OTHER])
    with pytest.raises(InvalidBody):
        built("edit", body, target=Named(CHAT, "A", OTHER, from_me=False, type="text"))


def test_revokes_own_and_as_administrator() -> None:
    body = {"target": {"waId": "A"}}
    own = built("revoke", body, target=Named(CHAT, "A", None, from_me=True)).protocolMessage
    assert (own.type, own.key.fromMe, own.key.ID) == (ProtocolMessage.REVOKE, True, "A")
    other = built("revoke", body, target=Named(GROUP, "A", OTHER, from_me=False)).protocolMessage
    assert (other.key.fromMe, other.key.participant, other.key.remoteJID) == (False, OTHER, GROUP)


def test_a_forward_from_the_body() -> None:
    part = built("text", {"text": "x", "forwarded": True, "forwardingScore": 4}).extendedTextMessage
    assert (part.text, part.contextInfo.isForwarded, part.contextInfo.forwardingScore) == ("x", True, 5)


def forwarded(original: Message, kind: str = "text") -> Message:
    body = {"text": "?", "forwarded": True, "raw": base64.b64encode(original.SerializeToString()).decode()}
    return built(kind, body)


def test_a_forward_from_the_original_keeps_what_we_do_not_know() -> None:
    original = Message()
    inner = original.ephemeralMessage.message
    inner.imageMessage.URL = "https://mmg.whatsapp.net/y"
    inner.imageMessage.qrURL = "unknown to our table"
    inner.imageMessage.contextInfo.stanzaID = "quoted before"
    original.messageContextInfo.messageSecret = b"secret"
    copy = forwarded(original, "image")
    assert copy.imageMessage.URL == "https://mmg.whatsapp.net/y"
    assert copy.imageMessage.qrURL == "unknown to our table"
    assert copy.imageMessage.contextInfo.isForwarded
    assert not copy.imageMessage.contextInfo.stanzaID
    assert not copy.HasField("messageContextInfo")
    assert forwarded(Message(conversation="hi")).extendedTextMessage.text == "hi"
    document = Message()
    document.documentWithCaptionMessage.message.documentMessage.caption = "c"
    assert forwarded(document, "document").documentWithCaptionMessage.message.documentMessage.caption == "c"


def test_what_must_not_be_forwarded() -> None:
    once = Message()
    once.viewOnceMessageV2.message.imageMessage.URL = "x"
    flagged = Message()
    flagged.imageMessage.viewOnce = True
    poll = Message()
    poll.pollCreationMessage.name = "?"
    protocol = Message()
    protocol.protocolMessage.type = ProtocolMessage.REVOKE
    for original in (once, flagged, poll, protocol, Message()):
        with pytest.raises(InvalidBody):
            forwarded(original)
    for raw in ("!!", base64.b64encode(b"\xff\xff\xff").decode()):
        with pytest.raises(InvalidBody):
            built("text", {"text": "x", "raw": raw})


@pytest.mark.parametrize("kind", ["image", "video", "gif", "audio", "voice", "document", "sticker"])
def test_a_file_that_was_not_uploaded_is_refused(kind: str) -> None:
    with pytest.raises(InvalidBody):
        built(kind, {"media": MEDIA})


@pytest.mark.parametrize("kind", ["system", "call", "unknown", "", "nothing"])
def test_kinds_that_cannot_be_sent(kind: str) -> None:
    with pytest.raises(InvalidBody):
        parse_body(kind, {"text": "x"})


def test_errors_name_fields_and_not_what_is_in_them() -> None:
    with pytest.raises(InvalidBody) as error:
        parse_body("poll", {"poll": {"question": "a secret matter", "options": ["only one"]}})
    assert "poll.options" in str(error.value)
    assert "secret matter" not in str(error.value)
    assert "only one" not in str(error.value)
