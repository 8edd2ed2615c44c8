"""What the simulator and the sessions' objects say about a loss: who held what, and whether anybody scanned."""

from collections.abc import Iterable

from bench.harness import Figure, figure
from bench.scenarios.planned_move import overlaps
from whatsam_core.resources import Phase
from whatsam_local.driver.fleet import Fleet


class Witness:
    """Watches a fleet of paired sessions from now on."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._since = fleet.watch.clock()
        self._devices = self._linked()

    def back_after(self, names: Iterable[str], epochs: dict[str, int], since: float) -> list[float]:
        """For each session, how long after `since` it was Connected in a newer epoch."""
        times: list[float] = []
        for name in names:
            back = self._fleet.watch.first(
                name,
                lambda session, old=epochs[name]: (
                    session.status.phase is Phase.CONNECTED and session.status.epoch > old
                ),
                since,
            )
            times.append((back or self._fleet.watch.clock()) - since)
        return times

    def second_scans(self) -> int:
        """Sessions that asked for a scan again, or have another device."""
        linked = self._linked()
        asked = {
            name
            for name in self._fleet.names
            if any(seen.session.status.phase is Phase.PAIRING for seen in self._fleet.watch.states(name, self._since))
        }
        return len(asked | {name for name in linked if linked[name] != self._devices[name]})

    def used_counters(self) -> int:
        """Ciphertexts under a counter that was used before, by devices of this fleet."""
        ours = {member.phone for member in self._fleet.members}
        return sum(use.sender.partition(":")[0] in ours for use in self._fleet.simulator.counters(reused=True))

    def figures(self) -> list[Figure]:
        """What must all be zero."""
        return [
            figure("second_scans", "count", [self.second_scans()], goal=0, digits=0),
            figure("overlapping_holders", "count", [overlaps(self._fleet)], goal=0, digits=0),
            figure("used_counters", "count", [self.used_counters()], goal=0, digits=0),
            figure("journal_violations", "count", [len(self._fleet.simulator.violations())], goal=0, digits=0),
        ]

    def _linked(self) -> dict[str, str | None]:
        return {name: self._fleet.state(name).status.jid for name in self._fleet.names}
