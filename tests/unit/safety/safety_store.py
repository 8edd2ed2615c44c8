"""The object store, and what lies in it: bases of sessions. A PUT is atomic, may come late, and is never undone."""

from dataclasses import dataclass

from safety_clock import Schedule
from safety_wire import Missing, Server

from whatsam_core.sessions_state import BaseRef, base_key


@dataclass(frozen=True)
class Database:
    """The part of a session's database that matters here: the position in a sending chain."""

    chain: int
    counter: int

    @property
    def sha256(self) -> str:
        """What the real one would be named by."""
        return f"{self.chain}:{self.counter}"

    def after(self, steps: int) -> "Database":
        """The same chain, so many counters further."""
        return Database(self.chain, self.counter + steps)


@dataclass(frozen=True)
class Stored:
    """A base as it lies there. `at`: when it arrived; only a wrong reader asks for that."""

    ref: BaseRef
    content: Database
    at: float


class ObjectStore(Server):
    """One bucket. The prefix of a session is its name."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(schedule)
        self.bases: dict[str, dict[str, Stored]] = {}
        """By session, by key."""

    def put(self, session: str, epoch: int, boot: str, seq: int, content: Database) -> None:
        """Store a base."""
        key = base_key(f"{session}/", epoch, boot, seq)
        ref = BaseRef(epoch, seq, boot, key)
        self.bases.setdefault(session, {})[key] = Stored(ref, content, self.schedule.now)

    def list(self, session: str) -> list[Stored]:
        """All bases of a session, in no order that means anything."""
        return list(self.bases.get(session, {}).values())

    def get(self, session: str, key: str) -> Stored:
        """One base."""
        try:
            return self.bases[session][key]
        except KeyError:
            raise Missing(key) from None

    def delete(self, session: str, keys: "list[str]") -> None:
        """Bases that are not needed any more."""
        for key in keys:
            self.bases.get(session, {}).pop(key, None)
