"""What phones and contacts know of past messages: enough to quote, react to, edit, revoke them and to vote.

Filled by receiving and sending, asked by authoring, receiving (votes) and the phone (messages asked for again).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from whatsam_simulator.contacts.details import Target
from whatsam_simulator.crypto.secrets import POLL_VOTE, Binding
from whatsam_simulator.errors import BadMac, UnknownItem
from whatsam_simulator.wire.jid import GROUP_SERVER, Jid
from whatsam_simulator.world.records import Account

MAX_KNOWN = 20_000
"""Messages of all accounts together; the oldest go first."""


class Known(NamedTuple):
    """A message as one account knows it."""

    id: str
    sender: Account
    chat: Jid
    """The other person's LID, or the group."""
    from_me: bool
    message: bytes
    """Without what wraps a copy for own devices."""
    at: int
    """Unix seconds."""
    secret: bytes | None = None
    options: tuple[str, ...] = ()
    """Of a poll."""

    @property
    def target(self) -> Target:
        """How the account names this message to others."""
        in_group = self.chat.server == GROUP_SERVER
        participant = str(self.sender.lid) if in_group and not self.from_me else None
        return Target(id=self.id, chat=str(self.chat), from_me=self.from_me, participant=participant)


class Memory:
    """One for the whole simulator."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()

    def remember(self, account: Account, known: Known) -> None:
        self._known[account.number, known.id] = known
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def recall(self, account: Account, message_id: str) -> Known:
        """The message; raises `UnknownItem`."""
        known = self.find(account.number, message_id)
        if known is None:
            raise UnknownItem(f"{account.number} has neither sent nor received message {message_id}")
        return known

    def find(self, number: str, message_id: str) -> Known | None:
        return self._known.get((number, message_id))

    def of_chat(self, account: Account, chat: Jid) -> list[Known]:
        """The account's messages of one chat, oldest first."""
        return [known for (number, _), known in self._known.items() if number == account.number and known.chat == chat]


def open_vote(known: Known, author: Account, sealed: bytes, iv: bytes, use: str = POLL_VOTE) -> bytes:
    """Decrypts what `author` says about a message; raises `BadMac`. Clients name people by LID or by number."""
    if known.secret is None:
        raise BadMac("a vote about a message without a secret")
    for original in (known.sender.lid, known.sender.pn):
        for by in (author.lid, author.pn):
            try:
                return Binding(use, known.secret, known.id, str(original), str(by)).open(sealed, iv)
            except BadMac:
                continue
    raise BadMac("a vote or reaction that does not fit its message's secret")
