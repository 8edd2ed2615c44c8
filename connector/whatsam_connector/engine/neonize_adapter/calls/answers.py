"""What whatsmeow's words about a failed call mean. Pure; imports no neonize. Used by `calling`.

whatsmeow tells its errors apart by type, neonize passes on their text only. What is in these tables proves that nothing
was done: either WhatsApp answered with an error, or whatsmeow refused before it asked.
"""

import re

_STATUS = re.compile(r"(?:info query returned status|server returned error|graphql error:) (\d+)")
"""whatsmeow errors.go (IQError), send.go, types/newsletter.go (GraphQLError)."""

_BY_STATUS = {
    400: ("Rejected", "WhatsApp does not accept these values"),
    401: ("NotAuthorized", "WhatsApp does not let this account do it"),
    403: ("Forbidden", "WhatsApp forbids it: only members, or only admins, may do it"),
    404: ("NotFound", "WhatsApp does not know it"),
    405: ("Forbidden", "WhatsApp does not allow it"),
    406: ("Rejected", "WhatsApp does not accept these values"),
    409: ("Conflict", "it is so already, or somebody changed it at the same time"),
    410: ("NotFound", "it is gone"),
    419: ("LimitReached", "WhatsApp allows no more of them"),
    423: ("Forbidden", "it is locked"),
    429: ("RateLimited", "WhatsApp wants fewer calls"),
}

_BY_WORDS = (
    ("that group does not exist", "NotFound", "there is no such group"),
    ("you're not participating in that group", "Forbidden", "this account is not a member of that group"),
    (
        "you don't have the permission to get the group's invite link",
        "NotAuthorized",
        "only admins see the invite link",
    ),
    ("that group invite link is not valid", "NotFound", "the invite link is not valid"),
    ("that group invite link has been revoked", "NotFound", "the invite link has been reset"),
    ("the user has hidden their profile picture from you", "NotAuthorized", "the picture is hidden from this account"),
    ("does not have a profile picture", "NotFound", "there is no picture"),
    ("missing <picture> element", "NotFound", "there is no picture"),
    ("the given data is not a valid image", "Rejected", "WhatsApp does not accept the picture"),
    ("invalid disappearing timer", "Rejected", "WhatsApp takes 0, 1, 7 or 90 days"),
    ("no LID found for", "NotFound", "the number is not on WhatsApp"),
    ("can't send presence without PushName", "NotReady", "WhatsApp has not told the account's name yet"),
    ("no app state keys found", "NotReady", "the phone has not shared its keys for settings yet"),
    ("the store doesn't contain a device JID", "NotConnected", "not connected to WhatsApp"),
    ("websocket not connected", "NotConnected", "not connected to WhatsApp"),
    ("client is nil", "NotConnected", "not connected to WhatsApp"),
)
"""whatsmeow's sentences (errors.go and where they are wrapped) by what they contain."""


def refusal_of(text: str) -> tuple[str, str] | None:
    """Code and sentence when the words prove that nothing was done, else None."""
    for words, code, message in _BY_WORDS:
        if words in text:
            return code, message
    answered = _STATUS.search(text)
    if answered is None:
        # What whatsmeow looks up before it asks for the change itself.
        return ("NotDone", "WhatsApp did not tell what is needed first") if text.startswith("failed to get ") else None
    status = int(answered[1])
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "ServerRefused", f"WhatsApp answered with error {status}"
