"""What a page says about itself, and which link of a text is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_api.policies.web_pages import first_link, page_head

PAGE = b"""<html><head><title> The   page </title>
<meta property="og:title" content="Better &amp; title"><meta name="description" content="What it is about">
<meta property="og:image" content="/a/picture.jpg"></head><body><title>not this</title></body></html>"""


def test_a_page_introduces_itself() -> None:
    head = page_head(PAGE, "utf-8", "https://example.org/x/y")
    assert head.title == "Better & title"
    assert head.description == "What it is about"
    assert head.picture == "https://example.org/a/picture.jpg"
    plain = page_head(b"<title>Only \xe4 title</title>", "latin-1", "https://example.org")
    assert (plain.title, plain.description, plain.picture) == ("Only ä title", "", None)
    assert page_head(b"<title>x\x00y</title>", "no such charset", "https://e.org").title in {"xy", "x\ufffdy"}


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("see https://example.org/a?b=c.", "https://example.org/a?b=c"),
        ("(http://example.org/x)", "http://example.org/x"),
        ("HTTPS://EXAMPLE.org", "HTTPS://EXAMPLE.org"),
        ("no link, not even ftp://example.org", None),
        ("first https://a.example then https://b.example", "https://a.example"),
    ],
)
def test_the_first_link_counts(text: str, link: str | None) -> None:
    assert first_link(text) == link


@given(
    st.binary(max_size=500),
    st.sampled_from(["utf-8", "utf-16", "idna", "zlib", "", "\x00", None]),
    st.text(max_size=50),
)
def test_any_bytes_are_a_page(html: bytes, charset: str | None, url: str) -> None:
    head = page_head(html, charset, url)
    for text in (head.title, head.description):
        text.encode()
        assert "\x00" not in text
