"""What can be asked of an engine, and what this one answers."""

import pylibmagic  # noqa: F401  # pyright: ignore[reportUnusedImport] - brings the library that neonize's import asks for
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.engine.methods import METHODS, UPLOAD_BASE_SECONDS, Lane, upload_seconds
from whatsam_connector.engine.neonize_adapter.calls import CALLS


def test_neonize_knows_no_method_that_others_do_not_and_lacks_these() -> None:
    assert CALLS.keys() <= METHODS.keys()
    assert METHODS.keys() - CALLS.keys() == {
        "request_history",
        "answer_passkey",
        "confirm_passkey",
        "archive",
        "pin",
        "mute",
        "mark_unread",
        "delete_chat",
        "change_join_requests",
        "newsletter_messages",
    }


def test_what_is_slow_or_silent_is_in_no_lane_with_sends() -> None:
    in_order = {method.name for method in METHODS.values() if method.lane is Lane.MESSAGES}
    assert in_order == {"presence", "chat_presence", "reject_call", "request_history"}
    assert [method.name for method in METHODS.values() if method.lane is Lane.MEDIA] == ["upload"]


def test_every_method_gives_up_before_neonize_does() -> None:
    assert all(0 < method.timeout_seconds < 75 for method in METHODS.values())


@given(st.integers(0, 2**31))
def test_large_files_get_more_time(size: int) -> None:
    assert upload_seconds(size) >= UPLOAD_BASE_SECONDS
    assert upload_seconds(size + 1024) > upload_seconds(size)
