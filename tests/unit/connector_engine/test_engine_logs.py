"""Two lines of whatsmeow's log are news; whatever else it says is not."""

from datetime import UTC, datetime

import pylibmagic  # noqa: F401  # pyright: ignore[reportUnusedImport] - brings the library that neonize's import asks for
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.engine.neonize_adapter.logs import lost_message

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WHY = "failed to decrypt prekey message: failed to get or create message keys: received message with old counter (index: 106, count: 105)"  # noqa: E501 - as it comes


def test_a_message_that_was_decrypted_before() -> None:
    record = lost_message(f"Ignoring message 3EB0AA from 1001:2@lid in 1001@lid: {WHY}", NOW)
    assert record is not None
    assert (record.wa_id, record.chat, record.sender, record.group) == ("3EB0AA", "1001@lid", "1001@lid", False)
    assert (record.already_decrypted, record.unavailable, record.from_me, record.timestamp) == (True, False, False, NOW)


def test_one_of_a_chat_by_number() -> None:
    record = lost_message(f"Ignoring message 3EB0AA from 49151@s.whatsapp.net: {WHY}", NOW)
    assert record is not None
    assert (record.chat, record.chat_phone, record.sender_phone) == ("49151@s.whatsapp.net", "49151", "49151")


def test_one_of_a_group_and_one_of_the_own_phone() -> None:
    in_group = lost_message(f"Ignoring message A from 1001:2@lid in 12-3@g.us: {WHY}", NOW)
    assert in_group is not None
    assert (in_group.chat, in_group.group, in_group.chat_phone, in_group.from_me) == ("12-3@g.us", True, None, False)
    own = lost_message(f"Ignoring message A from 7@lid in 1001@lid: {WHY}", NOW)
    assert own is not None
    assert own.from_me


@pytest.mark.parametrize(
    "line",
    [
        "Ignoring message A from 1001@lid: event was already processed",
        "Error decrypting message A from 1001@lid: no session",
        "Ignoring message A from nobody: old counter",
        "Uploading 50 new prekeys to server",
        "",
    ],
)
def test_other_lines_are_no_news(line: str) -> None:
    assert lost_message(line, NOW) is None


@given(st.text(), st.text())
def test_no_line_raises(before: str, after: str) -> None:
    lost_message(f"Ignoring message {before} from {after}: old counter", NOW)
