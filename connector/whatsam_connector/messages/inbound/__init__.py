"""From journal records to a batch: what WhatsApp said, as rows and changes of rows. Pure; the inbox drives it.

`translating` makes a finding of each record, `references` judges those that change an earlier message, `assembling`
puts both together as one `Batch`.
"""

from whatsam_connector.messages.inbound.assembling import Made, Need, assemble, needs
from whatsam_connector.messages.inbound.findings import Finding, Owner, Wants
from whatsam_connector.messages.inbound.translating import translate

__all__ = ["Finding", "Made", "Need", "Owner", "Wants", "assemble", "needs", "translate"]
