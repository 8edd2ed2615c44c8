"""What an engine can be asked for besides sending: the names of the calls, their lanes and their time limits.

Read by the supervisor (time limits, what a missing answer means) and by the child (lanes). Engine-neutral: what a
method does in neonize is in `neonize_adapter/calls`. Names and arguments are the same for every engine.
"""

import enum
from dataclasses import dataclass


class Lane(enum.Enum):
    """Where a command waits. Lanes run side by side; commands of one lane run one after another."""

    MESSAGES = "messages"
    """Sends, and what must keep its place among them. One per session."""
    LOOKUPS = "lookups"
    """Questions to WhatsApp and changes of settings: neonize waits up to 75 s for each. One per session."""
    MEDIA = "media"
    """Uploads, which neonize holds in memory and never gives up. One for the whole process."""


@dataclass(frozen=True, slots=True)
class Method:
    """One call."""

    name: str
    lane: Lane
    timeout_seconds: float
    """How long the supervisor waits when the caller names no time of its own, waiting in the lane included."""
    changes: bool
    """Whether it has an effect at WhatsApp: an answer that does not come is Uncertain then, else only Unresponsive."""
    pairing: bool = False
    """It is for a session that is being paired; all others need a login."""


LOOKUP_SECONDS = 20.0
"""For one question to WhatsApp, which takes some 50 ms."""
CHANGE_SECONDS = 30.0
"""For a change: longer than a look-up, because giving up means not to know."""
PRESENCE_SECONDS = 10.0
"""For what is only written to the socket."""

UPLOAD_BASE_SECONDS = 60.0
UPLOAD_BYTES_PER_SECOND = 128 * 1024
"""The slowest line that a gateway is used on; 64 MiB get ten minutes."""

HISTORY_SYNC_SECONDS = 30.0


def upload_seconds(size: int) -> float:
    """Time limit for an upload of `size` bytes."""
    return UPLOAD_BASE_SECONDS + size / UPLOAD_BYTES_PER_SECOND


def _lookup(name: str, timeout: float = LOOKUP_SECONDS) -> Method:
    return Method(name, Lane.LOOKUPS, timeout, changes=False)


def _change(name: str, timeout: float = CHANGE_SECONDS) -> Method:
    return Method(name, Lane.LOOKUPS, timeout, changes=True)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        # Messages and media. For an upload the time limit is that of a small file: see upload_seconds.
        Method("upload", Lane.MEDIA, UPLOAD_BASE_SECONDS, changes=False),
        _change("mark_read"),
        Method("presence", Lane.MESSAGES, PRESENCE_SECONDS, changes=True),
        Method("chat_presence", Lane.MESSAGES, PRESENCE_SECONDS, changes=True),
        _change("subscribe_presence", PRESENCE_SECONDS),
        Method("reject_call", Lane.MESSAGES, PRESENCE_SECONDS, changes=True),
        Method("request_history", Lane.MESSAGES, HISTORY_SYNC_SECONDS, changes=True),
        # Pairing by passkey (`events.PasskeyRequested`).
        Method("answer_passkey", Lane.LOOKUPS, CHANGE_SECONDS, changes=True, pairing=True),
        Method("confirm_passkey", Lane.LOOKUPS, CHANGE_SECONDS, changes=True, pairing=True),
        # Contacts.
        _lookup("is_on_whatsapp"),
        _lookup("user_info"),
        _lookup("avatar"),
        _lookup("contacts"),
        _lookup("lid"),
        _lookup("phone"),
        _lookup("blocklist"),
        _change("block"),
        _change("unblock"),
        # Own profile.
        _lookup("privacy"),
        _change("set_privacy"),
        _lookup("profile"),
        _change("set_profile_name"),
        _change("set_about"),
        _change("set_profile_picture", 60.0),
        # Groups.
        _lookup("groups", 60.0),
        _lookup("group"),
        _change("create_group"),
        _change("change_participants"),
        _change("set_group_subject"),
        _change("set_group_description"),
        _change("set_group_picture", 60.0),
        _change("set_group_announce"),
        _change("set_group_locked"),
        _change("group_invite_link"),
        _lookup("group_by_link"),
        _change("join_group"),
        _change("leave_group"),
        _lookup("join_requests"),
        _change("change_join_requests"),
        # Chats.
        _lookup("chat_settings"),
        _change("archive"),
        _change("pin"),
        _change("mute"),
        _change("mark_unread"),
        _change("delete_chat"),
        _change("set_disappearing"),
        # Newsletters.
        _lookup("newsletters"),
        _lookup("newsletter"),
        _change("create_newsletter"),
        _change("follow_newsletter"),
        _change("unfollow_newsletter"),
        _change("mute_newsletter"),
        _lookup("newsletter_messages"),
    )
}
"""Every call that exists. An engine that lacks one answers Refused(Unsupported)."""
