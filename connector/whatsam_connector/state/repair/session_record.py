"""One row of whatsmeow_sessions: a 1:1 Signal session with its archived states. Pure.

    {"SessionState": S, "PreviousStates": [S, …]}, S["SenderChain"]["ChainKey"] = {"Key": base64, "Index": next counter}

Only sending chains move; receiving chains follow the other side.
"""

from dataclasses import dataclass

from whatsam_connector.state.errors import FormatError
from whatsam_connector.state.repair import chains, json_record
from whatsam_connector.state.repair.json_record import Json


@dataclass(frozen=True, slots=True)
class ChainPosition:
    """Where the current sending chain stands: our ratchet key (base64) and the counter of the next message."""

    ratchet: str
    index: int


@dataclass(frozen=True, slots=True)
class AdvancedSession:
    """A session record after the step: its bytes, where its current chain is now, and how many chains moved."""

    raw: bytes
    position: ChainPosition | None
    chains: int


def position(raw: bytes) -> ChainPosition | None:
    """The current sending chain's position, None when the session cannot send yet."""
    state = _current(json_record.parse(raw))
    return None if state is None else _position(state)


def advance(raw: bytes, steps: int) -> AdvancedSession:
    """Move every sending chain, of the current and of archived states. Raises `FormatError`."""
    record = json_record.parse(raw)
    current = _current(record)
    moved = 0
    for state in [*([current] if current else []), *json_record.children(record, "PreviousStates")]:
        chain = _sender_chain(state)
        if chain is not None:
            _step(json_record.child(chain, "ChainKey"), steps)
            moved += 1
    return AdvancedSession(json_record.dump(record), _position(current) if current else None, moved)


def _current(record: Json) -> Json | None:
    if "SessionState" not in record:
        raise FormatError("SessionState is missing")
    return None if record["SessionState"] is None else json_record.child(record, "SessionState")


def _sender_chain(state: Json) -> Json | None:
    if not state or state.get("SenderChain") is None:
        return None
    return json_record.child(state, "SenderChain")


def _position(state: Json) -> ChainPosition | None:
    chain = _sender_chain(state)
    if chain is None:
        return None
    ratchet = json_record.octets(chain, "SenderRatchetKeyPublic")
    if not ratchet:
        raise FormatError("SenderRatchetKeyPublic is missing")
    index = json_record.number(json_record.child(chain, "ChainKey"), "Index")
    return ChainPosition(json_record.encode(ratchet), index)


def _step(chain_key: Json, steps: int) -> None:
    try:
        chain_key["Key"] = json_record.encode(chains.stepped(json_record.octets(chain_key, "Key"), steps))
        chain_key["Index"] = chains.counter_after(json_record.number(chain_key, "Index"), steps)
    except ValueError as error:
        raise FormatError(f"ChainKey: {error}") from None
