"""What the outbox does next with the oldest open message of a session. Pure.

Order is a promise: messages leave in the order of their rows, so only the head of the line counts. A head that cannot
leave now holds up those behind it; that is meant.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

from whatsam_connector.messages.batch import ReceiptFor
from whatsam_connector.state.credit import CreditVerdict
from whatsam_connector.supervision.errors import EngineRefused
from whatsam_connector.supervision.outgoing import recipient_jid

UNCERTAIN_WAIT = 10.0
"""Seconds after a login in which WhatsApp hands over the receipts that settle an uncertain message."""
MOST_ATTEMPTS = 5
"""Attempts after which a message that leaves its fate open each time is given up: it may be what ends the engine."""

LONGEST_RUN = 8
"""Rows of one session that are claimed at once: what a dead worker leaves as `sending` although it never sent it."""
CHANGES_ANOTHER = frozenset({"edit", "revoke", "reaction"})
"""Types of rows that change another row when they are sent."""


class OutStatus(StrEnum):
    """Status of an outgoing row that is not settled yet."""

    PENDING = "pending"
    SENDING = "sending"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class OutRow:
    """An open outgoing message, as the database has it."""

    id: UUID
    chat: str
    """JID or number, as it was asked for."""
    type: str
    body: dict[str, Any]
    status: OutStatus
    attempts: int
    claimed_at: datetime | None
    """When its status last changed."""
    ephemeral_seconds: int = 0
    """The chat's timer of disappearing messages; 0: off."""
    trace: str | None = None
    """W3C `traceparent` of the call that accepted it."""
    wa_id: str | None = None
    """The id that it has at WhatsApp, fixed before its first attempt by an engine that takes ids from us; else None."""


@dataclass(frozen=True)
class Receipt:
    """A receipt for a message id that no row has: perhaps that of an uncertain message."""

    wa_id: str
    chat: str
    chat_phone: str | None
    status: str
    """delivered, read or played."""
    at: datetime
    told: ReceiptFor | None = None
    """What is to be written of it once its message has a row with this id."""


class Next(Enum):
    """What to do with the head of the line."""

    IDLE = "nothing is open: wait for a message"
    WAIT_FOR_LINK = "not connected, or the offline queue is not read: wait for the session"
    WAIT_FOR_REPLICA = "the store must have more of the auth state first: wait for it"
    WAIT_FOR_RECEIPT = "its fate is open: wait for a receipt, for a bounded time"
    MARK_UNCERTAIN = "somebody had it in hand and is gone: its fate is open"
    SETTLE = "a receipt tells that it arrived"
    SEND_AGAIN = "no receipt came in time, or its id makes a second attempt harmless: put it back"
    GIVE_UP = "its fate was left open too often, or once too often for its owner: fail it"
    CLAIM = "claim it and send it"


@dataclass(frozen=True)
class Line:
    """What there is to know about the session when the head is judged."""

    linked: bool
    """Logged in, offline queue read, Lease confirmed."""
    listened_for: float
    """Seconds in which receipts could come: since the offline queue was read, or since the head's fate is open."""
    credit: CreditVerdict
    receipt: Receipt | None
    """One that settles the head: for its own id if it has one, else an unknown one from its chat, after its claim."""
    own_id: bool = False
    """The head went out under an id of ours, and would again: whoever has it already knows it by that id."""
    send_again: bool = True
    """Whether the session's owner would rather have a message twice than not at all."""


def judge(head: OutRow | None, line: Line) -> Next:  # noqa: PLR0911  # a table
    """What to do with the head of the line now. Nothing is in flight when this is asked."""
    if head is None:
        return Next.IDLE
    match head.status:
        case OutStatus.SENDING:
            return Next.MARK_UNCERTAIN
        case OutStatus.UNCERTAIN:
            if line.receipt is not None:
                return Next.SETTLE
            if not line.linked:
                return Next.WAIT_FOR_LINK
            again = line.send_again and head.attempts < MOST_ATTEMPTS
            if line.listened_for < UNCERTAIN_WAIT and not (line.own_id and again):
                return Next.WAIT_FOR_RECEIPT
            return Next.SEND_AGAIN if again else Next.GIVE_UP
        case OutStatus.PENDING:
            if not line.linked:
                return Next.WAIT_FOR_LINK
            if line.credit is not CreditVerdict.SEND:
                return Next.WAIT_FOR_REPLICA
            return Next.CLAIM


def run_length(room: int) -> int:
    """How many rows to claim with credit for `room` sends."""
    return max(1, min(LONGEST_RUN, room))


class Refusal(Enum):
    """What to do with a message that the engine certainly did not send."""

    PUT_BACK = "the session was not able to send just now: it keeps its place and its attempts"
    TRY_AGAIN = "it failed before WhatsApp took it: again, but not for ever"
    FAIL = "it can never be sent: tell its owner"


_NOT_NOW = frozenset({"NotConnected", "NotStarted", "EngineGone", "UnknownSession"})
_PERHAPS_LATER = frozenset({"NotSent"})


def judge_refusal(code: str, attempts: int) -> Refusal:
    """What a refusal means for the message. `attempts` includes the one that was refused."""
    if code in _NOT_NOW:
        return Refusal.PUT_BACK
    if code in _PERHAPS_LATER and attempts < MOST_ATTEMPTS:
        return Refusal.TRY_AGAIN
    return Refusal.FAIL


def same_chat(asked: str, receipt: Receipt) -> bool:
    """Whether a receipt comes from the chat that a row was sent to; WhatsApp names people by LID or by number."""
    try:
        user, server = _bare(recipient_jid(asked))
    except EngineRefused:
        return False
    if (user, server) == _bare(receipt.chat):
        return True
    return server == "s.whatsapp.net" and receipt.chat_phone is not None and user == receipt.chat_phone


def _bare(jid: str) -> tuple[str, str]:
    """User and server without the device."""
    user, _, server = jid.rpartition("@")
    return user.split(":", 1)[0], server
