"""URLs of proxies: what serves, what is refused, and that no message repeats one."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.errors import ProxyUnusable
from whatsam_connector.proxies import checked


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy:3128",
        "http://user:p%40ss@proxy.example:3128",
        "socks5://10.0.0.1:1080",
        "socks5://user:password@[2001:db8::1]:1080",
    ],
)
def test_what_serves(url: str):
    assert checked(f" {url}\n") == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "proxy:3128",
        "ftp://secret:secret@proxy:21",
        "http://secret",
        "http://:3128",
        "socks5://secret:99999",
        "http://proxy:3128/secret?x",
        "http://proxy:3128\nhttp://secret:1",
        "http://sec ret:3128",
        "javascript:secret",
    ],
)
def test_what_is_refused_is_not_repeated(url: str):
    with pytest.raises(ProxyUnusable) as refused:
        checked(url)
    assert refused.value.reason == "ProxyInvalid"
    assert "secret" not in str(refused.value)


@given(st.text())
def test_any_text_is_taken_or_refused(text: str):
    with contextlib.suppress(ProxyUnusable):
        assert checked(text).startswith(("http://", "socks5://"))
