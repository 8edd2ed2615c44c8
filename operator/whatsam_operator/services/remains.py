"""What becomes of auth states: looked up, adopted, kept, destroyed. Called by the writer and by the sweep.

Whatever destroys reads the session afresh first. Every action may be repeated: a process that is killed in the middle
leaves work that the next one does again.
"""

from whatsam_core import names
from whatsam_core.logging import get_logger
from whatsam_core.resources import WhatsAppSession
from whatsam_core.storage.cluster import SESSIONS, NotFound
from whatsam_core.storage.objects import ObjectStoreError
from whatsam_operator.errors import StalePlan, StateIsForeign
from whatsam_operator.planning.adoption import Grave, settle
from whatsam_operator.planning.decisions import AdoptState, DestroyExpiredState, Finalize, LookUpState, Remains, Story
from whatsam_operator.planning.ownership import OURS
from whatsam_operator.planning.snapshot import Key, StateKnowledge
from whatsam_operator.services.clock import Clock
from whatsam_operator.services.index import Index
from whatsam_operator.services.knowledge import Knowledge
from whatsam_operator.storage.kube import Kube
from whatsam_operator.storage.states import States

log = get_logger(__name__)


class RemainsService:
    """The operator's dealings with the object store."""

    def __init__(self, kube: Kube, states: States, index: Index, knowledge: Knowledge, clock: Clock) -> None:
        self._kube = kube
        self._states = states
        self._index = index
        self._knowledge = knowledge
        self._clock = clock

    async def look_up(self, decision: LookUpState) -> None:
        """Ask for a tombstone and remember the answer; an unreachable store is an answer, too."""
        uid = decision.target.uid
        try:
            tombstone = await self._states.tombstone(decision.target.key)
        except ObjectStoreError:
            self._knowledge.states[uid] = StateKnowledge(reachable=False)
            raise
        self._knowledge.states[uid] = StateKnowledge(tombstone)

    async def adopt(self, decision: AdoptState) -> None:
        """Write the device into the status, then remove the tombstone.

        Killed in between, the sweep finds a living session of the same tenant and removes the tombstone alone.
        """
        tombstone = decision.tombstone
        status = {"jid": tombstone.jid, "phoneNumber": tombstone.phone_number, "epoch": tombstone.epoch}
        target = decision.target
        stored = await self._kube.patch_status(SESSIONS, target.key, decision.resource_version, status)
        self._knowledge.states[target.uid] = StateKnowledge()
        self._index.put(SESSIONS, stored, self._clock().steady)
        try:
            await self._states.forget(target.key)
        except ObjectStoreError as error:
            log.info("tombstone_left_to_the_sweep", session="/".join(target.key), error=str(error))

    async def destroy_expired(self, decision: DestroyExpiredState) -> None:
        """Destroy a state whose time is over, before a new session of the name starts without one."""
        session = await self._fresh(decision.target.key, decision.target.uid)
        if session.status.epoch or session.status.assignment is not None:
            raise StalePlan("the session has started meanwhile")
        await self._states.destroy(decision.target.key, decision.tombstone.tenant)
        await self._states.forget(decision.target.key)
        self._knowledge.states[decision.target.uid] = StateKnowledge()

    async def finalize(self, decision: Finalize) -> tuple[Story, ...]:
        """Settle the state of a deleted session and remove the operator's finalizer; what is to be told."""
        stories = decision.stories
        target = decision.target
        session = await self._fresh(target.key, target.uid)
        if not session.metadata.deleting or session.status.assignment is not None:
            raise StalePlan("the session is not ready to go")
        if decision.remains is Remains.DESTROY:
            try:
                count = await self._states.destroy(target.key, decision.tenant)
            except StateIsForeign as error:
                # The session goes; what it never owned stays where it is.
                log.warning("state_not_destroyed", session="/".join(target.key), reason=str(error))
                text = "the state under this name belongs to another tenant: it was left as it is"
                stories = (Story("StateNotDestroyed", text, warning=True),)
            else:
                log.info("state_destroyed", session="/".join(target.key), objects=count)
        elif decision.remains is Remains.RETAIN and decision.tombstone is not None:
            await self._states.bury(target.key, decision.tombstone)
        rest = [item for item in session.metadata.finalizers if item != names.FINALIZER_OPERATOR]
        stored = await self._kube.set_finalizers(SESSIONS, target.key, session.metadata.resource_version, rest)
        self._index.put(SESSIONS, stored, self._clock().steady)
        return stories

    async def graves(self) -> list[Key]:
        """The names of all tombstones, for the sweep. None where the store is another cluster's, or not known to be
        ours: what lies there is not for us to destroy.
        """
        if self._knowledge.store != OURS:
            return []
        return await self._states.buried()

    async def settle(self, key: Key) -> Grave:
        """Look at one tombstone and do what is due. The caller holds the session's slot: nobody starts it meanwhile."""
        tombstone = await self._states.tombstone(key)
        if tombstone is None:
            return Grave.KEEP
        try:
            session = WhatsAppSession.from_wire(await self._kube.get(SESSIONS, key))
        except NotFound:
            session = None
        outcome = settle(tombstone, session, self._clock().wall)
        if outcome is Grave.DESTROY:
            await self._states.destroy(key, tombstone.tenant)
        if outcome is not Grave.KEEP:
            await self._states.forget(key)
            log.info("tombstone_removed", session="/".join(key), outcome=outcome.value)
        return outcome

    async def _fresh(self, key: Key, uid: str) -> WhatsAppSession:
        raw = await self._kube.get(SESSIONS, key)
        self._index.put(SESSIONS, raw, self._clock().steady)
        session = WhatsAppSession.from_wire(raw)
        if session.metadata.uid != uid:
            raise StalePlan("another session has this name now")
        return session
