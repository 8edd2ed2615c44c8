"""What the URL of a session's proxy must be to serve. Used where Secrets are read.

The URL may hold a password: it is never logged and is in no message.
"""

from urllib.parse import urlsplit

from whatsam_connector.errors import ProxyUnusable

_SCHEMES = ("http", "socks5")
_LONGEST = 2048


def checked(url: str) -> str:
    """The URL without the white space around it. Raises `ProxyUnusable`."""
    stripped = url.strip()
    wrong = ProxyUnusable(
        "ProxyInvalid",
        "the proxy in the Secret must be one URL such as http://user:password@host:3128 or socks5://host:1080",
    )
    if len(stripped) > _LONGEST or any(character.isspace() or ord(character) < 0x20 for character in stripped):
        raise wrong
    try:
        parts = urlsplit(stripped)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in _SCHEMES or not parts.hostname or not port:
        raise wrong
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong
    return stripped.rstrip("/")
