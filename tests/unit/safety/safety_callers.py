"""The API as a caller: it follows the sessions by a watch of its own and calls whom it takes for the holder."""

from typing import TYPE_CHECKING, Any

from safety_clock import Process
from safety_wire import Link, Watch

from whatsam_connector.http.holding import Address

if TYPE_CHECKING:
    from safety_world import World


class Caller:
    """One replica of the API. What it knows may be old, and a call may wait long at a stopped process."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._process = Process(world.schedule, world.machine())
        self._known: dict[str, Address] = {}
        watch = Watch(Link(self._process, world.api), self._watched)
        world.api.watches.append(("session", watch))

    def begin(self) -> None:
        """Call for ever, now and then."""
        for address in self._known.values():
            for pod in self._world.pods:
                if pod.boot is not None and pod.boot.boot_id == address.boot:
                    self._call(pod.boot.process, pod.boot.take_call, address)
        self._process.later(self._world.chance.uniform(1.0, 4.0), self.begin)

    def _call(self, callee: Process, take: Any, address: Address) -> None:
        self._world.schedule.after(0.002, lambda: callee.deliver(lambda: take(address)))

    def _watched(self, news: Any) -> None:
        session = self._world.model(news[1])
        assignment = session.status.assignment
        if assignment is not None:
            uid = session.metadata.uid
            self._known[uid] = Address(uid, session.status.epoch, assignment.boot_id)
