"""Whom or what a path or field names: persons, groups, chats, newsletters, checked and brought to one form. Pure."""

import re

from whatsam_api.errors import InvalidField
from whatsam_api.policies.recipients import recipient

_GROUP = re.compile(r"(?P<id>[0-9]{5,30}(-[0-9]{5,20})?)(@g\.us)?")
_NEWSLETTER = re.compile(r"(?P<id>[0-9]{5,30})(@newsletter)?")
_INVITE = re.compile(r"(https?://)?(chat\.whatsapp\.com/(invite/)?)?(?P<code>[A-Za-z0-9_-]{6,64})(\?.*)?")
_CHANNEL = re.compile(r"(https?://)?((www\.)?whatsapp\.com/channel/)?(?P<code>[A-Za-z0-9]{6,64})(\?.*)?")


def chat(text: str, field: str) -> str:
    """The address of a person or group: a phone number with country code, or an address. Raises `InvalidField`."""
    try:
        return recipient(text)
    except InvalidField as error:
        raise InvalidField(field, error.message.partition(": ")[2]) from None


def person(text: str, field: str) -> str:
    """The address of a person."""
    found = chat(text, field)
    if found.endswith("@g.us"):
        raise InvalidField(field, "this is a group; give a phone number or the address of a person")
    return found


def persons(texts: list[str], field: str) -> list[str]:
    """Addresses of persons, each once, in the order given."""
    return list(dict.fromkeys(person(text, f"{field}.{number}") for number, text in enumerate(texts)))


def phone(text: str, field: str) -> str:
    """The digits of a phone number with country code."""
    found = person(text, field)
    digits, _, server = found.partition("@")
    if server != "s.whatsapp.net":
        raise InvalidField(field, "give a phone number with its country code, for example 491511000001")
    return digits


def group(text: str, field: str) -> str:
    """The address of a group."""
    match = _GROUP.fullmatch(text.strip())
    if match is None:
        raise InvalidField(field, "a group's address is digits followed by @g.us")
    return f"{match['id']}@g.us"


def newsletter(text: str, field: str) -> str:
    """The address of a newsletter."""
    match = _NEWSLETTER.fullmatch(text.strip())
    if match is None:
        raise InvalidField(field, "a newsletter's address is digits followed by @newsletter")
    return f"{match['id']}@newsletter"


def group_link(text: str, field: str) -> str:
    """The code of a group's invite link."""
    match = _INVITE.fullmatch(text.strip())
    if match is None:
        raise InvalidField(field, "an invite link looks like https://chat.whatsapp.com/…")
    return match["code"]


def newsletter_link(text: str, field: str) -> str:
    """The code of a newsletter's link."""
    match = _CHANNEL.fullmatch(text.strip())
    if match is None:
        raise InvalidField(field, "a newsletter's link looks like https://whatsapp.com/channel/…")
    return match["code"]
