"""People whose names are in the database already: names come with every message, and seldom change. For the inbox.

In memory, bounded, and only told of what is committed: losing it costs a few writes that change nothing.
"""

from collections import OrderedDict
from dataclasses import replace

from whatsam_connector.messages.batch import ContactChange

_MOST = 2000
_FIELDS = ("phone", "lid", "push_name", "full_name", "business_name")


class KnownContacts:
    """Of one session."""

    def __init__(self) -> None:
        self._by_jid: OrderedDict[str, ContactChange] = OrderedDict()

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
        while len(self._by_jid) > _MOST:
            self._by_jid.popitem(last=False)
