"""Recipients of messages, and what whatsmeow's errors prove about them."""

import pylibmagic  # noqa: F401 - brings the library that neonize's import asks for
import pytest

from whatsam_connector.engine.neonize_adapter.refusals import refusal
from whatsam_connector.supervision import EngineRefused
from whatsam_connector.supervision.outgoing import recipient_jid


@pytest.mark.parametrize(
    ("to", "jid"),
    [
        ("4915112345678", "4915112345678@s.whatsapp.net"),
        ("+49 (151) 1234-5678", "4915112345678@s.whatsapp.net"),
        ("4915112345678@s.whatsapp.net", "4915112345678@s.whatsapp.net"),
        ("101276775976418@lid", "101276775976418@lid"),
        ("120363021234567890@g.us", "120363021234567890@g.us"),
        ("4915112345678-1600000000@g.us", "4915112345678-1600000000@g.us"),
    ],
)
def test_recipients(to: str, jid: str) -> None:
    assert recipient_jid(to) == jid


@pytest.mark.parametrize(
    "to",
    [
        "",
        "1234",
        "hello",
        "+",
        "status@broadcast",
        "49151:3@s.whatsapp.net",
        "120363021234567890@newsletter",
        "49151@s.whatsapp.net ",
        "49151\n",
        "٤٩١٥١١٢٣٤",
        "1" * 30,
    ],
)
def test_recipients_that_nobody_can_be(to: str) -> None:
    with pytest.raises(EngineRefused) as refused:
        recipient_jid(to)
    assert refused.value.code == "InvalidRecipient"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("server returned error 463", "ServerRefused"),
        ("failed to send message node: websocket not connected", "NotConnected"),
        ("failed to get device list: failed to send usync query: websocket not connected", "NotConnected"),
        ("failed to get user info for 49151@s.whatsapp.net to fill LID cache: info query timed out", "NotSent"),
        ("no LID found for 49151@s.whatsapp.net from server", "UnknownRecipient"),
        ("failed to get group members: you're not participating in that group", "NotSent"),
        ("the store doesn't contain a device JID", "NotSent"),
    ],
)
def test_errors_that_prove_that_nothing_was_sent(error: str, code: str) -> None:
    answer = refusal(9, error)
    assert answer is not None
    assert (answer.id, answer.code) == (9, code)


@pytest.mark.parametrize(
    "error",
    [
        "timed out waiting for message send response",
        "websocket disconnected before message send returned response",
        "websocket not connected",  # whatsmeow says so when it wanted to write the stanza a second time
        "failed to send message node: write tcp: broken pipe",
        "frame socket is closed",
        "something that a later version says",
        "",
    ],
)
def test_everything_else_stays_uncertain(error: str) -> None:
    assert refusal(9, error) is None
