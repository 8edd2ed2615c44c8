"""Operators that are killed, doubled, slow, refused and lied to: never two holders, and in the end all is well."""

import asyncio
import random

import pytest
from operator_cluster import Faults, eventually
from operator_virtual import run
from operator_world import NAMESPACE, Operator, World

from whatsam_core import names
from whatsam_core.storage.cluster import POOLS, SESSIONS, Conflict, Unreachable
from whatsam_core.storage.objects import ObjectStoreUnreachable
from whatsam_operator.planning import liveness
from whatsam_operator.planning.liveness import Judgement, Verdict

WRITES = ("create", "patch", "replace", "delete", "put")


class Stop(Faults):
    """The process dies before or after its n-th write. It hangs in that call until the test has killed it."""

    def __init__(self, number: int, *, after: bool) -> None:
        self.number = number
        self.is_after = after
        self.count = 0
        self.reached = asyncio.Event()
        self.chosen = None

    async def before(self, verb, kind, key):
        if verb in WRITES:
            self.count += 1
            if self.count == self.number:
                self.chosen = asyncio.current_task()
            if self.count == self.number and not self.is_after:
                await self._die()

    async def after(self, verb, kind, key):
        if verb in WRITES and self.chosen is asyncio.current_task() and self.is_after:
            await self._die()

    async def _die(self):
        self.reached.set()
        await asyncio.Event().wait()


class Weather(Faults):
    """Everything goes wrong now and then: refused before, lost after, late."""

    def __init__(self, seed: int, chance: float) -> None:
        self.random = random.Random(seed)  # noqa: S311 - faults, not secrets
        self.chance = chance

    async def before(self, verb, kind, key):
        await asyncio.sleep(self.random.random() * 0.01)
        if self.random.random() < self.chance:
            raise ObjectStoreUnreachable("refused") if kind == "store" else Unreachable("refused")

    async def after(self, verb, kind, key):
        if self.random.random() < self.chance:
            raise ObjectStoreUnreachable("lost answer") if kind == "store" else Unreachable("lost answer")


async def story(world: World) -> None:
    """A bit of everything the operator does."""
    world.add_session("stay")
    world.add_session("keep")
    world.add_session("leave", deletionPolicy="Logout")
    await world.settled()
    await eventually(lambda: all(world.status(n).get("jid") for n in ("stay", "keep", "leave")), 30, "all are paired")
    await asyncio.sleep(2)
    victim = next(pod for pod in world.pods if pod.boot and "stay" in pod.boot.held)
    await victim.crash()
    await world.settled()
    world.server.delete(SESSIONS, (NAMESPACE, "keep"))
    world.server.delete(SESSIONS, (NAMESPACE, "leave"))
    await eventually(lambda: not world.session("keep") and not world.session("leave"), 180, "both are gone")
    world.add_session("keep")
    await world.settled()
    await asyncio.sleep(25)


def check_end(world: World) -> None:
    """What must be true after the story, whatever happened on the way."""
    assert set(world.witness.running) == {"stay", "keep"}
    assert world.status("keep")["jid"] == "keep@s.whatsapp.net", "the device was adopted"
    assert world.status("keep")["epoch"] >= 2
    assert world.status("stay")["epoch"] >= 2
    assert not [key for key in world.bucket if "/leave/" in key], "its state was destroyed"
    assert [key for key in world.bucket if "/auth/ns/keep/key" in key], "its state was kept"
    assert not [key for key in world.bucket if "tombstones" in key]
    epochs = [(name, epoch) for name, epoch, _ in world.assignments]
    assert len(epochs) == len(set(epochs)), "no epoch was given twice"


def writes_of_the_story() -> int:
    async def main():
        world = World()
        faults = Stop(-1, after=False)
        Operator(world, faults)
        await story(world)
        check_end(world)
        await world.close()
        return faults.count

    return run(main())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_operator_killed_at_any_write_is_replaced_without_harm(after):
    total = writes_of_the_story()
    assert total > 25

    async def main(number):
        world = World()
        faults = Stop(number, after=after)
        first = Operator(world, faults)

        async def replace():
            await faults.reached.wait()
            await first.kill()
            Operator(world)

        world.spawn(replace())
        await story(world)
        check_end(world)
        await world.close()
        return faults.reached.is_set()

    # The order of writes differs a little between runs: what counts is that kills happened all along the story.
    assert sum(run(main(number)) for number in range(1, total + 1)) > total * 0.8


@pytest.mark.parametrize("seed", range(8))
def test_lost_answers_and_refused_calls_lose_nothing(seed):
    async def main():
        world = World(seed)
        faults = Weather(seed, 0.15)
        Operator(world, faults)
        await story(world)
        faults.chance = 0.0
        await asyncio.sleep(60)
        check_end(world)
        await world.close()

    run(main())


def test_a_conflict_at_the_first_attempt_of_every_write_only_costs_time():
    class Stubborn(Faults):
        def __init__(self):
            self.seen = set()

        async def before(self, verb, kind, key):
            if verb not in ("patch", "replace"):
                return
            if (kind, key) not in self.seen:
                self.seen.add((kind, key))
                raise Conflict("somebody was faster")
            self.seen.discard((kind, key))

    async def main():
        world = World()
        Operator(world, Stubborn())
        await story(world)
        check_end(world)
        await world.close()

    run(main())


@pytest.mark.parametrize("seed", range(5))
def test_two_operators_that_both_believe_to_lead_do_no_harm(seed):
    async def main():
        world = World(seed)
        Operator(world, Weather(seed, 0.05))
        Operator(world, Weather(seed + 100, 0.05))
        for number in range(12):
            world.add_session(f"s{number}")
        await world.settled()
        await asyncio.sleep(2)
        await world.pods[0].crash()
        world.pods[1].boot.frozen = True
        await world.settled(within=120)
        epochs = [(name, epoch) for name, epoch, _ in world.assignments]
        assert len(epochs) == len(set(epochs))
        await world.close()

    run(main())


def test_a_released_lease_is_taken_at_once_and_a_lost_one_after_its_duration():
    class Cut(Faults):
        cut = False

        async def before(self, verb, kind, key):
            if self.cut:
                raise Unreachable("cut off")

    async def main():
        world = World()
        first = Operator(world, elected="one")
        await eventually(lambda: first.leadership.leads, 5, "one leads")
        faults = Cut()
        second = Operator(world, faults, elected="two")
        await asyncio.sleep(10)
        assert not second.leadership.leads
        await first.kill()  # as SIGTERM does: it releases
        await eventually(lambda: second.leadership.leads, 2, "two leads")
        third = Operator(world, elected="three")
        world.add_session("a")
        await world.settled()
        faults.cut = True
        await second.kill()  # nothing of it reaches the API server any more
        await asyncio.sleep(6)
        assert not third.leadership.leads
        await eventually(lambda: third.leadership.leads, 4, "three leads")
        await world.close()

    run(main())


def test_a_leader_that_is_cut_off_stops_writing_before_the_next_one_leads():
    class Cut(Faults):
        cut = False

        async def before(self, verb, kind, key):
            if self.cut:
                raise Unreachable("cut off")

    async def main():
        world = World()
        faults = Cut()
        first = Operator(world, faults, elected="one")
        await eventually(lambda: first.leadership.leads, 5, "one leads")
        second = Operator(world, elected="two")
        await asyncio.sleep(5)
        faults.cut = True
        overlap = []
        for _ in range(400):
            overlap.append(first.leadership.leads and second.leadership.leads)
            await asyncio.sleep(0.05)
        assert not any(overlap)
        assert second.leadership.leads
        faults.cut = False
        await asyncio.sleep(5)
        assert not first.leadership.leads
        assert first.task.done() is False, "it stands for election again"
        await world.close()

    run(main())


async def chaos(seed: int) -> None:  # noqa: PLR0912 - one branch per fault
    """Random faults for two minutes, then peace: everything must run again."""
    chance = random.Random(seed)  # noqa: S311 - faults, not secrets
    world = World(seed, workers=4, sessions_per_worker=6)
    weather = Weather(seed, 0.03)
    world.connectors.faults = Weather(seed + 1, 0.01)
    operator = Operator(world, weather)
    for number in range(12):
        world.add_session(f"s{number}")
    for _ in range(20):
        await asyncio.sleep(chance.random() * 8)
        pod = chance.choice(world.pods)
        match chance.choice(("crash", "freeze", "thaw", "operator", "outage", "stop", "start", "drain", "migrate")):
            case "migrate":
                wish = {"metadata": {"annotations": {names.ANNOTATION_MIGRATE_TO: pod.name}}}
                world.server.patch(SESSIONS, (NAMESPACE, f"s{chance.randrange(12)}"), wish, None)
            case "crash":
                world.spawn(pod.crash(restart_after=chance.random() * 4))
            case "freeze" if pod.boot is not None:
                pod.boot.frozen = True
            case "thaw" if pod.boot is not None:
                pod.boot.frozen = False
            case "operator":
                await operator.kill()
                operator = Operator(world, weather)
            case "outage":
                weather.chance = 1.0
                world.connectors.faults.chance = 1.0
                await asyncio.sleep(chance.random() * 25)
                weather.chance, world.connectors.faults.chance = 0.03, 0.01
            case "stop":
                world.server.patch(
                    SESSIONS, (NAMESPACE, f"s{chance.randrange(12)}"), {"spec": {"desiredState": "Stopped"}}, None
                )
            case "drain" if pod.boot is not None and not pod.boot.over and not pod.boot.frozen:
                await pod.boot.drain()
                pod.start()
            case _:
                pass
    weather.chance, world.connectors.faults.chance = 0.0, 0.0
    for number in range(12):
        world.server.patch(SESSIONS, (NAMESPACE, f"s{number}"), {"spec": {"desiredState": "Running"}}, None)
    for pod in world.pods:
        if pod.boot is not None and pod.boot.frozen:
            await pod.crash(restart_after=1.0)
        elif pod.boot is None or pod.boot.over:
            pod.restarts += 1
            pod.start()
    await world.settled(within=180)
    await world.close()


@pytest.mark.parametrize("seed", range(16))
def test_whatever_happens_no_session_ever_has_two_holders(seed):
    run(chaos(seed))


def test_the_witness_catches_an_operator_that_takes_over_too_early(monkeypatch):
    """A checker that cannot fail proves nothing."""

    def hasty(lease, pod, elders):
        verdict = liveness_judge(lease, pod, elders)
        return Judgement(Verdict.EXPIRED, "hasty") if lease.unchanged > 4 and not verdict.verdict.gone else verdict

    liveness_judge = liveness.judge
    monkeypatch.setattr("whatsam_operator.planning.boots.judge", hasty)

    async def main():
        world = World()
        Operator(world)
        world.add_session("a")
        await world.settled()
        next(pod for pod in world.pods if pod.boot and "a" in pod.boot.held).boot.frozen = True
        await asyncio.sleep(30)
        await world.close()

    with pytest.raises(AssertionError, match="two holders of a"):
        run(main())


def test_a_pool_of_which_most_seem_dead_at_once_is_emptied_slowly():
    async def main():
        world = World(workers=5)
        Operator(world)
        for number in range(10):
            world.add_session(f"s{number}")
        await world.settled()
        frozen_at = asyncio.get_running_loop().time()
        for pod in world.pods[:4]:
            pod.boot.frozen = True
        moved = []
        world.server.watchers.append(
            lambda kind, thing, _: (
                moved.append(asyncio.get_running_loop().time() - frozen_at)
                if thing["metadata"].get("annotations", {}).get("whatsam.io/lease-state") == "Revoked"
                else None
            )
        )
        await asyncio.sleep(20)
        assert not moved
        reasons = {c["reason"] for c in world.server.objects[POOLS][(NAMESPACE, "default")]["status"]["conditions"]}
        assert "MassFailure" in reasons
        await eventually(lambda: len(moved) >= 2, 30, "two were moved")
        assert moved[1] - moved[0] >= 9.9
        await world.close()

    run(main())
