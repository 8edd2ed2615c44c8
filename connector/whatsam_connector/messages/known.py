"""People whose names are in the database already: names come with every message, and seldom change. For the inbox.

In memory, bounded, and only told of what is committed: losing it costs a few writes that change nothing.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from whatsam_connector.messages.batch import ContactChange

_MOST = 2000
_UNKNOWN_FOR = 60.0
"""Seconds after which a number that was not found is looked for again."""
_FIELDS = ("phone", "lid", "push_name", "full_name", "business_name")


class KnownContacts:
    """Of one session."""

    def __init__(self) -> None:
        self._by_jid: OrderedDict[str, ContactChange] = OrderedDict()
        self._phones: OrderedDict[str, tuple[str | None, float]] = OrderedDict()
        """Numbers by LID, and until when it counts that there is none."""

    def phones(self, lids: Iterable[str]) -> dict[str, str]:
        """Numbers of these LIDs, as far as they are known."""
        found = {lid: self._phones[lid][0] for lid in lids if lid in self._phones}
        return {lid: phone for lid, phone in found.items() if phone is not None}

    def asks_for(self, lids: Iterable[str], now: float) -> list[str]:
        """Those whose number is not known, and was not looked for lately."""
        return sorted(lid for lid in lids if not self._looked_for(lid, now))

    def answer(self, asked: Iterable[str], phones: Mapping[str, str], now: float) -> None:
        """What was found."""
        for lid in asked:
            self._name(lid, phones.get(lid), now + _UNKNOWN_FOR)

    def says_new(self, change: ContactChange) -> bool:
        """Whether it says anything that is not known."""
        before = self._by_jid.get(change.jid)
        return before is None or any(
            (value := getattr(change, name)) is not None and value != getattr(before, name) for name in _FIELDS
        )

    def learn(self, change: ContactChange) -> None:
        """It is in the database now."""
        before = self._by_jid.get(change.jid)
        said = {name: value for name in _FIELDS if (value := getattr(change, name)) is not None}
        self._by_jid[change.jid] = change if before is None else replace(before, **said)
        self._by_jid.move_to_end(change.jid)
        if change.lid is not None and change.phone is not None:
            self._name(change.lid, change.phone, 0.0)
        while len(self._by_jid) > _MOST:
            self._by_jid.popitem(last=False)

    def _looked_for(self, lid: str, now: float) -> bool:
        phone, until = self._phones.get(lid, (None, 0.0))
        return phone is not None or until > now

    def _name(self, lid: str, phone: str | None, until: float) -> None:
        self._phones[lid] = (phone, until)
        self._phones.move_to_end(lid)
        while len(self._phones) > _MOST:
            self._phones.popitem(last=False)
