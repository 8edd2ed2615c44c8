"""Persons: who is on WhatsApp, what they show, who is known, who is blocked. Calls of `engine.methods`."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from neonize.exc import GetProfilePictureError, IsOnWhatsAppError, NeonizeError
from neonize.proto.Neonize_pb2 import (
    JID,
    Blocklist,
    GetProfilePictureParams,
    GetProfilePictureReturnFunction,
    ProfilePictureInfo,
    UserInfo,
)
from neonize.utils.enum import BlocklistAction

from whatsam_connector.engine.neonize_adapter.calls.errors import CallRefused
from whatsam_connector.engine.neonize_adapter.calls.people import (
    GROUP_SERVER,
    jid_on,
    lid_of,
    person,
    persons,
    phone_of,
    plain,
)
from whatsam_connector.engine.neonize_adapter.jids import LID_SERVER, PHONE_SERVER, person_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neonize.proto.Neonize_pb2 import VerifiedName

    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_DIGITS = re.compile(r"[1-9][0-9]{4,19}")
_NOBODY = "Function returned nothing."
"""neonize's error for an empty list."""


def is_on_whatsapp(session: "NeonizeSession", arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Which phone numbers (digits with country code) have an account; one entry for each, in the order asked."""
    phones = [str(phone) for phone in arguments["phones"]]
    if not phones or not all(_DIGITS.fullmatch(phone) for phone in phones):  # neonize joins them with blanks
        raise CallRefused("Invalid", "phone numbers are digits with country code")
    try:
        answered = list(session.client.is_on_whatsapp(*(f"+{phone}" for phone in phones)))
    except IsOnWhatsAppError as error:
        if str(error) != _NOBODY:
            raise
        answered = []
    found = {one.Query.lstrip("+"): one for one in answered if one.IsIn}
    return [
        {
            "phone": phone,
            "registered": phone in found,
            "jid": f"{phone}@{PHONE_SERVER}" if phone in found else None,
            "lid": lid_of(session, found[phone].JID) if phone in found else None,
            "business_name": _business_name(session, found[phone].JID, found[phone].VerifiedName)
            if phone in found
            else None,
        }
        for phone in phones
    ]


def user_info(session: "NeonizeSession", arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """What persons show of themselves: about, picture, business name, devices. Who is unknown is left out."""
    asked = persons(arguments["jids"])
    if not asked:
        raise CallRefused("Invalid", "nobody is named")
    return [_user(session, one.JID, one.UserInfo) for one in session.client.get_user_info(*asked)]


def avatar(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """Where the picture of a person or group can be fetched for a while; `preview` for the small one."""
    whose = jid_on(arguments["jid"], PHONE_SERVER, LID_SERVER, GROUP_SERVER)
    return _picture(picture_of(session, whose, preview=bool(arguments.get("preview"))))


def picture_of(session: "NeonizeSession", whose: JID, *, preview: bool) -> ProfilePictureInfo:
    """The picture as neonize tells it. Raises NeonizeError with whatsmeow's text."""
    wanted = GetProfilePictureParams(Preview=preview, ExistingID="", IsCommunity=False)
    try:
        return session.client.get_profile_picture(whose, wanted)
    except GetProfilePictureError as error:
        # neonize puts the whole answer where the text belongs.
        told = error.args[0] if error.args else None
        text = told.Error if isinstance(told, GetProfilePictureReturnFunction) else str(error)
        raise NeonizeError(text) from error


def contacts(session: "NeonizeSession", _arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Everybody whom this device knows by name. WhatsApp keeps a person under number and LID: they are put together."""
    by_phone: dict[str, dict[str, Any]] = {}
    others: list[dict[str, Any]] = []
    for one in session.client.contact.get_all_contacts():
        if one.JID.Server not in (PHONE_SERVER, LID_SERVER) or not one.JID.User:
            continue
        phone = phone_of(session, one.JID)
        entry: dict[str, Any] = {
            "jid": person_text(one.JID),
            "phone": phone,
            "lid": person_text(one.JID) if one.JID.Server == LID_SERVER else None,
            "full_name": one.Info.FullName or None,
            "first_name": one.Info.FirstName or None,
            "push_name": one.Info.PushName or None,
            "business_name": one.Info.BusinessName or None,
        }
        if phone is None:
            others.append(entry)
            continue
        known = by_phone.setdefault(phone, {**entry, "jid": f"{phone}@{PHONE_SERVER}"})
        for key, value in entry.items():
            known[key] = known[key] or value
    return [*by_phone.values(), *others]


def lid(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """The LID of a phone number, if this device has learned it."""
    phone = str(arguments["phone"])
    if not _DIGITS.fullmatch(phone):
        raise CallRefused("Invalid", "a phone number is digits with country code")
    return {"lid": lid_of(session, person(f"{phone}@{PHONE_SERVER}"))}


def phone(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """The phone number of a LID, if this device has learned it."""
    return {"phone": phone_of(session, jid_on(arguments["lid"], LID_SERVER))}


def blocklist(session: "NeonizeSession", _arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Whom this account has blocked."""
    return _blocked(session, session.client.get_blocklist())


def block(session: "NeonizeSession", arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Block somebody; the list as it is then."""
    return _blocked(session, session.client.update_blocklist(person(arguments["jid"]), BlocklistAction.BLOCK))


def unblock(session: "NeonizeSession", arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Unblock somebody; the list as it is then."""
    return _blocked(session, session.client.update_blocklist(person(arguments["jid"]), BlocklistAction.UNBLOCK))


def _user(session: "NeonizeSession", jid: JID, info: UserInfo) -> dict[str, Any]:
    return {
        "jid": person_text(jid),
        "phone": phone_of(session, jid),
        "lid": lid_of(session, jid),
        "about": info.Status or None,
        "picture_id": info.PictureID or None,
        "business_name": _business_name(session, jid, info.VerifiedName),
        "devices": len(info.Devices),
    }


def _picture(info: ProfilePictureInfo) -> dict[str, Any]:
    if not info.URL:
        raise CallRefused("NotFound", "there is no picture")
    return {"url": info.URL, "id": info.ID or None, "type": info.Type or None, "direct_path": info.DirectPath or None}


def _business_name(session: "NeonizeSession", jid: JID, verified: "VerifiedName") -> str | None:
    """whatsmeow puts the name that a look-up brings into its contacts, and not always into the answer."""
    return verified.Details.verifiedName or session.client.contact.get_contact(plain(jid)).BusinessName or None


def _blocked(session: "NeonizeSession", known: Blocklist) -> list[dict[str, Any]]:
    return [_person(session, jid) for jid in _each(known.JIDs)]


def _each(jids: "Iterable[JID]") -> "Iterable[JID]":
    return (jid for jid in jids if jid.User)


def _person(session: "NeonizeSession", jid: JID) -> dict[str, Any]:
    return {"jid": person_text(jid), "phone": phone_of(session, jid), "lid": lid_of(session, jid)}


CALLS: dict[str, "Callable[[NeonizeSession, dict[str, Any]], Any]"] = {
    "is_on_whatsapp": is_on_whatsapp,
    "user_info": user_info,
    "avatar": avatar,
    "contacts": contacts,
    "lid": lid,
    "phone": phone,
    "blocklist": blocklist,
    "block": block,
    "unblock": unblock,
}
