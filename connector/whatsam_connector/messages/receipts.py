"""Receipts whose message is not known (yet): they settle uncertain messages and race the answer to a send.

In memory, per session and boot; the inbox puts them in before it looks for rows, the outbox takes them out after it has
written an id, so that a receipt which comes between the two is found by one of them.
"""

from collections import OrderedDict
from datetime import datetime, timedelta

from whatsam_connector.messages.rules import OutRow, Receipt, same_chat

_MOST = 2000
"""Receipts kept per session; older ones belong to messages that the phone sent itself."""
_RANK = {"delivered": 1, "read": 2, "played": 3}
_SKEW = timedelta(seconds=5)
"""WhatsApp's clock stamps a receipt in whole seconds, the database stamps the claim: they may differ a little."""


class UnknownReceipts:
    """A bounded memory of receipts without a row."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Receipt] = OrderedDict()

    def put(self, receipt: Receipt) -> None:
        """Remember it; of two for one message the further one counts."""
        known = self._by_id.get(receipt.wa_id)
        if known is not None and _RANK[known.status] >= _RANK[receipt.status]:
            return
        self._by_id[receipt.wa_id] = receipt
        self._by_id.move_to_end(receipt.wa_id)
        while len(self._by_id) > _MOST:
            self._by_id.popitem(last=False)

    def take(self, wa_id: str) -> Receipt | None:
        """The receipt for this id, which is known from now on."""
        return self._by_id.pop(wa_id, None)

    def settles(self, row: OutRow, *, own_id: bool = False) -> Receipt | None:
        """The first unknown receipt from the row's chat that came after the row was claimed.

        `own_id`: the row's id is the one that it was sent under, so only a receipt for that id counts.
        """
        if own_id and row.wa_id is not None:
            return self._by_id.get(row.wa_id)
        since: datetime | None = row.claimed_at
        for receipt in self._by_id.values():
            if same_chat(row.chat, receipt) and (since is None or receipt.at >= since - _SKEW):
                return receipt
        return None
