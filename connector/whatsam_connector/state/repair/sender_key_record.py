"""One row of whatsmeow_sender_keys: the chain of one member of one group. Pure.

Only the owner of a chain has its private signing key; for other people's chains whatsmeow stores 32 zero bytes.
"""

from whatsam_connector.state.repair import json_record


def is_own(raw: bytes) -> bool:
    """Whether this device sends with any state of the record. Raises `FormatError`."""
    states = json_record.children(json_record.parse(raw), "SenderKeyStates")
    return any(any(json_record.octets(state, "SigningKeyPrivate")) for state in states)
