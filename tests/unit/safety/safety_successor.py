"""A boot prepares itself for sessions that another one holds, and says so.

The counterpart of production's `Successor`; every decision is asked of the rules.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from safety_api import Writer
from safety_state import Rehearsal
from safety_wire import Conflict, Failure, Forbidden, Missing

from whatsam_connector.assignments.succession import Arrival, Declared, superfluous
from whatsam_core.resources.session import WhatsAppSession

if TYPE_CHECKING:
    from safety_boot import Boot

ROUND = 2
LOOK = 0.3
AGAIN = 2.0
WARM = (0.05, 1.5)
"""Real seconds until an engine process waits for its sessions."""
API_TIMEOUT = 5.0


class Successor:
    """All preparations of one boot."""

    def __init__(self, boot: "Boot") -> None:
        self._boot = boot
        self._world = boot.world
        self._wanted: dict[str, WhatsAppSession] = {}
        self._not_before: dict[str, float] = {}
        self._touched: set[str] = set()
        self._open: set[str] = set()
        """Those of the round that are neither declared nor given up."""
        self._declared: dict[str, Declared] = {}
        self._looking = False

    def note(self, session: WhatsAppSession) -> None:
        """The watch has shown this."""
        if self._world.rules.is_wanted(session, self._boot.me):
            self._wanted[session.metadata.uid] = session
            self._look_soon(0.0)
        else:
            self.gone(session.metadata.uid)

    def gone(self, uid: str) -> None:
        """It does not name this boot any more."""
        self._wanted.pop(uid, None)

    # --- rounds -------------------------------------------------------------------------------------------------------

    def _look_soon(self, seconds: float) -> None:
        if not self._looking:
            self._looking = True
            self._boot.process.later(seconds, self._look)

    def _look(self) -> None:
        self._looking = False
        boot, rules, now = self._boot, self._world.rules, self._boot.process.steady()
        stages = {uid: runner.state.stage for uid, runner in boot.runners.items()}
        for uid in superfluous(self._touched, self._wanted, stages):
            boot.pod.shelf.pop(uid, None)
            self._touched.discard(uid)
        self._touched -= stages.keys()
        for uid, one in tuple(self._declared.items()):
            known = replace(one, unnamed_since=None if uid in self._wanted else one.unnamed_since or now)
            self._declared[uid] = known
            if rules.arrival(known, stages.get(uid), now) is not Arrival.EXPECTED:
                del self._declared[uid]
        if not self._open and not self._declared and not boot.draining and boot.may_work():
            for uid in rules.next_round(self._wanted.values(), self._not_before, now, ROUND):
                self._open.add(uid)
                self._touched.add(uid)
                Rehearsal(boot, self._wanted[uid], partial(self._rehearsed, self._wanted[uid])).begin()
        if self._wanted or self._touched or self._declared:
            self._look_soon(LOOK)

    def _rehearsed(self, session: WhatsAppSession, ready: bool) -> None:
        if ready:
            self._boot.process.later(self._world.chance.uniform(*WARM), lambda: self._declare(session, 5))
        else:
            self._give_up(session.metadata.uid)

    def _give_up(self, uid: str) -> None:
        self._open.discard(uid)
        self._not_before[uid] = self._boot.process.steady() + AGAIN

    def _declare(self, session: WhatsAppSession, tries: int) -> None:
        name, uid = session.metadata.name, session.metadata.uid
        known = self._wanted.get(uid)
        if known is not None:
            self._say(known, tries)
            return
        api = self._world.api
        self._boot.link.call(
            lambda: api.session(name), lambda found: self._read(uid, found, tries), timeout=API_TIMEOUT
        )

    def _read(self, uid: str, found: Any, tries: int) -> None:
        if isinstance(found, Failure):
            self._give_up(uid)
        else:
            self._say(self._world.model(found), tries)

    def _say(self, known: WhatsAppSession, tries: int) -> None:
        boot, rules, metadata = self._boot, self._world.rules, known.metadata
        uid, named = metadata.uid, known.status.next
        if named is None or not rules.is_wanted(known, boot.me) or not boot.may_work():
            self._give_up(uid)
            return
        patch = {
            "metadata": {"resourceVersion": metadata.resource_version, "uid": uid},
            "status": {"next": {"preparedAt": boot.machine.wall().replace(microsecond=0).isoformat()}},
        }
        patch = rules.declared_precondition(patch)
        writer = Writer(boot.pod.uid, boot.boot_id, known.status.epoch, succeeds=True)

        def answer(result: Any) -> None:
            if isinstance(result, Conflict) and tries > 1:
                api, name = self._world.api, metadata.name
                boot.link.call(
                    lambda: api.session(name), lambda found: self._read(uid, found, tries - 1), timeout=API_TIMEOUT
                )
            elif isinstance(result, (Forbidden, Missing, Failure)):
                self._give_up(uid)
            else:
                self._open.discard(uid)
                self._declared[uid] = Declared(uid, boot.process.steady())

        api = self._world.api
        boot.link.call(lambda: api.patch_session(metadata.name, patch, writer), answer, timeout=API_TIMEOUT)
