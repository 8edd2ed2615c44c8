"""Whom a message is for: a phone number or a WhatsApp address, checked and brought to one form. Pure."""

import re
from functools import lru_cache

import phonenumbers

from whatsam_api.errors import InvalidField

_USER_SERVERS = {"s.whatsapp.net", "lid"}
_GROUP_SERVER = "g.us"
_ADDRESS = re.compile(r"(?P<user>[0-9]{5,20}(-[0-9]{5,20})?)@(?P<server>[a-z.]+)")


@lru_cache(maxsize=4096)  # a number takes a tenth of a millisecond, and most are written to again
def recipient(to: str) -> str:
    """The address of a person or group as WhatsApp writes it.

    A number becomes `<digits>@s.whatsapp.net`. Raises `InvalidField` when it is neither a possible number with country
    code nor an address.
    """
    text = to.strip()
    match = _ADDRESS.fullmatch(text)
    if match is not None:
        server, grouped = match["server"], "-" in match["user"]
        if server == _GROUP_SERVER or (server in _USER_SERVERS and not grouped):
            return text
        raise InvalidField("to", "an address ends with @s.whatsapp.net, @lid or @g.us")
    if "@" in text:
        raise InvalidField("to", "an address is digits followed by @s.whatsapp.net, @lid or @g.us")
    digits = re.sub(r"[\s().+-]", "", text)
    try:
        number = phonenumbers.parse(f"+{digits}", None)
    except phonenumbers.NumberParseException:
        raise InvalidField("to", "give a phone number with its country code, for example 491511000001") from None
    if not (digits.isascii() and digits.isdigit()) or not phonenumbers.is_possible_number(number):
        raise InvalidField(
            "to", "this cannot be a phone number; give it with its country code, for example 491511000001"
        )
    return f"{digits}@s.whatsapp.net"
