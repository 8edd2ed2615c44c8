"""The account's own profile and privacy. Calls of `engine.methods`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from neonize._binder import gocode
from neonize.exc import NeonizeError
from neonize.proto.Neonize_pb2 import PrivacySettings, SetPrivacySettingReturnFunction

from whatsam_connector.engine.neonize_adapter.calls.answers import refusal_of
from whatsam_connector.engine.neonize_adapter.calls.contacts import picture_of
from whatsam_connector.engine.neonize_adapter.calls.errors import CallRefused
from whatsam_connector.engine.neonize_adapter.calls.groups import jpeg
from whatsam_connector.engine.neonize_adapter.calls.people import plain
from whatsam_connector.engine.neonize_adapter.jids import person_text

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_CATEGORIES = {
    "group_add": "groupadd",
    "last_seen": "last",
    "status": "status",
    "profile": "profile",
    "read_receipts": "readreceipts",
    "online": "online",
    "call_add": "calladd",
}
"""Our names and WhatsApp's. `profile` is the picture, `status` the about text."""
_VALUES = {
    "group_add": ("all", "contacts", "contact_blacklist", "none"),
    "last_seen": ("all", "contacts", "contact_blacklist", "none"),
    "status": ("all", "contacts", "contact_blacklist", "none"),
    "profile": ("all", "contacts", "contact_blacklist", "none"),
    "read_receipts": ("all", "none"),
    "online": ("all", "match_last_seen"),
    "call_add": ("all", "known"),
}
"""What each category takes (whatsmeow, types/user.go)."""


def privacy(session: "NeonizeSession", _arguments: dict[str, Any]) -> dict[str, str | None]:
    """Who sees what of this account. neonize hides a failure behind settings that are all undefined."""
    shown = _privacy(session.client.get_privacy_settings())
    if not any(shown.values()):
        raise CallRefused("Failed", "WhatsApp did not tell the privacy settings")
    return shown


def set_privacy(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, str | None]:
    """Change one setting; all of them as they are then.

    Not by neonize's own function, which takes the answer for an error and raises when all went well.
    """
    name, value = str(arguments["name"]), str(arguments["value"])
    if name not in _CATEGORIES:
        raise CallRefused("Invalid", f"the setting is one of {', '.join(_CATEGORIES)}")
    if value not in _VALUES[name]:
        raise CallRefused("Invalid", f"{name} is one of {', '.join(_VALUES[name])}")
    told = gocode.SetPrivacySetting(session.client.uuid, _CATEGORIES[name].encode(), value.encode())
    answer = SetPrivacySettingReturnFunction.FromString(told)
    if answer.Error:
        raise NeonizeError(answer.Error)
    return _privacy(answer.settings)


def profile(session: "NeonizeSession", _arguments: dict[str, Any]) -> dict[str, Any]:
    """Name, about and picture of this account."""
    me = session.client.get_me()
    own = plain(me.JID)
    infos = [one.UserInfo for one in session.client.get_user_info(own)]
    return {
        "jid": person_text(me.JID),
        "phone": me.JID.User,
        "lid": person_text(me.LID) or None,
        "name": me.PushName or None,
        "business_name": me.BussinessName or None,
        "platform": me.Platform or None,
        "about": infos[0].Status or None if infos else None,
        "picture_id": infos[0].PictureID or None if infos else None,
        "picture_url": _own_picture(session),
    }


def set_name(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Change the name that others see. Refused until the phone has shared its keys for settings."""
    session.client.set_profile_name(_text(arguments["name"]))


def set_about(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Change the about text."""
    session.client.set_status_message(_text(arguments["about"], empty=True))


def set_picture(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """Change the own picture to the JPEG at `path`."""
    return {"picture_id": session.client.set_profile_photo(jpeg(arguments["path"]))}


def _own_picture(session: "NeonizeSession") -> str | None:
    try:
        return picture_of(session, plain(session.client.get_me().JID), preview=False).URL or None
    except NeonizeError as error:
        refusal = refusal_of(str(error))
        if refusal is not None and refusal[0] == "NotFound":
            return None
        raise


def _privacy(settings: PrivacySettings) -> dict[str, str | None]:
    return {
        "group_add": _word(settings.GroupAdd),
        "last_seen": _word(settings.LastSeen),
        "status": _word(settings.Status),
        "profile": _word(settings.Profile),
        "read_receipts": _word(settings.ReadReceipts),
        "online": _word(settings.Online),
        "call_add": _word(settings.CallAdd),
    }


def _word(value: PrivacySettings.PrivacySetting.ValueType) -> str | None:
    if value == PrivacySettings.UNDEFINED:
        return None
    return PrivacySettings.PrivacySetting.Name(value).lower()


def _text(value: object, *, empty: bool = False) -> str:
    text = str(value)
    if "\x00" in text or (not empty and not text.strip()):
        raise CallRefused("Invalid", "this needs a text")
    return text


CALLS: dict[str, "Callable[[NeonizeSession, dict[str, Any]], Any]"] = {
    "privacy": privacy,
    "set_privacy": set_privacy,
    "profile": profile,
    "set_profile_name": set_name,
    "set_about": set_about,
    "set_profile_picture": set_picture,
}
