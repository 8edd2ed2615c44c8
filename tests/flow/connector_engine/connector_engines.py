"""The engines that the flow tests run, and how a test says for which of them it is."""

from dataclasses import dataclass
from enum import StrEnum

from whatsam_connector.supervision.process import NEONIZE as NEONIZE_PROGRAM
from whatsam_local.programs import simulator_engine


class Kind(StrEnum):
    """The engines there are."""

    NEONIZE = "neonize"
    WHATSMEOW = "whatsmeow"


@dataclass(frozen=True)
class Engine:
    """An engine as the supervisor starts it."""

    kind: Kind
    program: tuple[str, ...]
    """Its command; the supervisor puts socket, deadline and parent behind it."""

    @classmethod
    def of(cls, kind: Kind) -> "Engine":
        """Find it; the engine in Go is built on first use."""
        if kind is Kind.NEONIZE:
            return cls(kind, NEONIZE_PROGRAM)
        return cls(kind, (str(simulator_engine()),))

    def __str__(self) -> str:
        return self.kind.value
