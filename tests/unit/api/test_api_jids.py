"""Addresses in paths and fields: one form for each, and an error that names the field."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_api.errors import InvalidField
from whatsam_api.policies import jids


def test_one_form_for_each() -> None:
    assert jids.person("+49 1511 000002", "f") == "491511000002@s.whatsapp.net"
    assert jids.persons(["491511000002", "491511000002@s.whatsapp.net", "70000@lid"], "f") == [
        "491511000002@s.whatsapp.net",
        "70000@lid",
    ]
    assert jids.phone("491511000002@s.whatsapp.net", "f") == "491511000002"
    for text in ("120363012345678901", "120363012345678901@g.us"):
        assert jids.group(text, "f") == "120363012345678901@g.us"
    assert jids.group("491511000002-1600000000", "f") == "491511000002-1600000000@g.us"
    assert jids.chat("120363012345678901@g.us", "f") == "120363012345678901@g.us"
    assert jids.newsletter("120363012345678901", "f") == "120363012345678901@newsletter"
    for link in ("AbCdEfGhIj", "chat.whatsapp.com/AbCdEfGhIj", "https://chat.whatsapp.com/invite/AbCdEfGhIj?mode=x"):
        assert jids.group_link(link, "f") == "AbCdEfGhIj"
    assert jids.newsletter_link("https://www.whatsapp.com/channel/0029VaAbCd", "f") == "0029VaAbCd"


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (jids.person, "120363012345678901@g.us"),
        (jids.phone, "70000@lid"),
        (jids.group, "491511000002@s.whatsapp.net"),
        (jids.newsletter, "120363012345678901@g.us"),
        (jids.group_link, "https://evil.example/AbCdEfGhIj"),
        (jids.group_link, "https://chat.whatsapp.com/../x"),
        (jids.newsletter_link, "https://chat.whatsapp.com/AbCdEfGhIj"),
        (jids.chat, "status@broadcast"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(check: Callable[[str, str], str], text: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check(text, "participants.3")
    assert refused.value.details[0]["field"] == "participants.3"
    assert not refused.value.details[0]["message"].startswith("to:")


@given(st.sampled_from([jids.person, jids.chat, jids.group, jids.newsletter]), st.text(max_size=40))
def test_what_passes_once_passes_again_unchanged(check: Callable[[str, str], str], text: str) -> None:
    try:
        found = check(text, "f")
    except InvalidField:
        return
    assert check(found, "f") == found
    assert found.isascii()
