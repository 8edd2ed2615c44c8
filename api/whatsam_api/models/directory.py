"""What engines tell of persons, groups, newsletters and the own account: parsed here, shown as it is by routes."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Told(BaseModel):
    """Base of what comes from a connector: snake_case there, camelCase in answers; a newer one may tell more."""

    # What does not fit would else put somebody's name into a traceback, and the traceback into the log.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", hide_input_in_errors=True
    )


class Person(Told):
    """Somebody. WhatsApp names a person by phone number or by LID; what is not known is None."""

    jid: str
    phone: str | None = None
    lid: str | None = None


class NumberCheck(Told):
    """Whether a phone number has an account."""

    phone: str
    registered: bool
    jid: str | None = None
    lid: str | None = None
    business_name: str | None = None


class UserInfo(Person):
    """What somebody shows of himself."""

    about: str | None = None
    picture_id: str | None = None
    business_name: str | None = None
    devices: int = 0


class Avatar(Told):
    """Where a picture can be fetched; the address works for some days only."""

    url: str
    id: str | None = None
    type: str | None = None


class Contact(Person):
    """Somebody whom the device knows by name."""

    full_name: str | None = None
    """From the phone's address book."""
    first_name: str | None = None
    push_name: str | None = None
    """What the person calls himself."""
    business_name: str | None = None

    @property
    def name(self) -> str:
        """What people would look for."""
        return self.full_name or self.business_name or self.push_name or self.phone or self.jid


class Member(Person):
    """A member of a group. With an `error` he is none: why he could not be added."""

    role: Literal["member", "admin", "superadmin"]
    name: str | None = None
    error: str | None = None


class GroupSummary(Told):
    """A group."""

    jid: str
    subject: str
    description: str | None = None
    owner: str | None = None
    owner_phone: str | None = None
    created_at: datetime | None = None
    """Right to about a minute."""
    announce: bool = False
    """Only admins may write."""
    locked: bool = False
    """Only admins may change subject, description and picture."""
    disappearing_seconds: int = 0
    community: bool = False
    community_jid: str | None = None
    size: int = 0


class Group(GroupSummary):
    """A group with its members."""

    participants: list[Member] = []


class MemberOutcome(Person):
    """What became of one member of a change."""

    done: bool
    error: str | None = None


class JoinedGroup(Told):
    """A group that was joined by link; `joined` is false while an admin must approve, None when that is not known."""

    jid: str
    joined: bool | None = None


class JoinRequest(Person):
    """Somebody who waits for an admin's approval."""

    requested_at: datetime | None = None


class Privacy(Told):
    """Who sees what of this account; None: WhatsApp told a value that the engine does not know."""

    group_add: str | None = None
    last_seen: str | None = None
    status: str | None = None
    """The about text."""
    profile: str | None = None
    """The picture."""
    read_receipts: str | None = None
    online: str | None = None
    call_add: str | None = None


class Profile(Person):
    """The own account."""

    name: str | None = None
    business_name: str | None = None
    platform: str | None = None
    about: str | None = None
    picture_id: str | None = None
    picture_url: str | None = None


class Newsletter(Told):
    """A newsletter (channel)."""

    jid: str
    name: str
    description: str | None = None
    link: str | None = None
    subscribers: int = 0
    verified: bool = False
    state: str | None = None
    created_at: datetime | None = None
    muted: bool | None = None
    role: str | None = None
    """subscriber, guest, admin or owner; None when seen by link."""
