"""What whatsmeow's words prove about a call that failed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.engine.neonize_adapter.calls.answers import refusal_of


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("info query returned status 400: bad-request", "Rejected"),
        ("info query returned status 401: not-authorized", "NotAuthorized"),
        ("info query returned status 403: forbidden", "Forbidden"),
        ("info query returned status 404: item-not-found", "NotFound"),
        ("info query returned status 406: not-acceptable", "Rejected"),
        ("info query returned status 409: conflict", "Conflict"),
        ("info query returned status 410: gone", "NotFound"),
        ("info query returned status 419: resource-limit", "LimitReached"),
        ("info query returned status 429: rate-overlimit", "RateLimited"),
        ("info query returned status 500: internal-server-error", "ServerRefused"),
        ("server returned error 463", "ServerRefused"),
        ("graphql error: 404 unknown query (WARNING)", "NotFound"),
        ("graphql error: 429 slow down (CRITICAL) (and 1 other errors)", "RateLimited"),
        ("failed to get user info for 1@s.whatsapp.net: info query returned status 429: rate-overlimit", "RateLimited"),
        ("failed to get old group info to update topic: that group does not exist", "NotFound"),
        ("failed to get LID for PN 1@s.whatsapp.net: database is locked", "NotDone"),
        ("failed to send usync query: websocket not connected", "NotConnected"),
        ("you're not participating in that group", "Forbidden"),
        ("that group invite link has been revoked", "NotFound"),
        ("no LID found for 49151@s.whatsapp.net from server", "NotFound"),
        ("no app state keys found, creating app state keys is not yet supported", "NotReady"),
    ],
)
def test_words_that_prove_that_nothing_was_done(text: str, code: str) -> None:
    refusal = refusal_of(text)
    assert refusal is not None
    assert refusal[0] == code
    assert "49151" not in refusal[1], "what tenants read names nobody"


@pytest.mark.parametrize(
    "text",
    [
        "info query timed out",
        "websocket disconnected before info query returned response",
        "missing <list> element in response to blocklist update",
        "server returned error updating app state",
        "",
    ],
)
def test_words_that_prove_nothing(text: str) -> None:
    assert refusal_of(text) is None


@given(st.text())
def test_any_text_has_a_verdict(text: str) -> None:
    assert refusal_of(text) is None or all(refusal_of(text) or ())
