"""Autoscaling in virtual time: the pool follows its sessions, and a worker goes only when nobody is connected on it."""

import asyncio

import pytest
from operator_cluster import eventually
from operator_virtual import run
from operator_world import NAMESPACE, Operator, World

from whatsam_core import names
from whatsam_core.storage.cluster import DEPLOYMENTS, PODS, POOLS, SESSIONS

WINDOW = 60
PER_WORKER = 4


class ReplicaSets:
    """What Kubernetes does with the Deployment: new pods take a while, and the cheapest one goes first."""

    def __init__(self, world):
        self.world = world
        self.made = 0
        self.removed = []
        """Each pod that was removed, with the sessions that it had then."""

    def alive(self):
        return [pod for pod in self.world.pods if not pod.gone and pod.name not in dict(self.removed)]

    async def run(self):
        while True:
            await asyncio.sleep(0.5)
            wanted = self.world.server.objects[DEPLOYMENTS].get((NAMESPACE, "default"))
            if wanted is None:
                continue
            alive, replicas = self.alive(), wanted["spec"]["replicas"]
            if len(alive) < replicas:
                self.made += 1
                await asyncio.sleep(3)
                self.world.add_pod(f"new{self.made}")
            if len(alive) > replicas:
                victim = min(alive, key=self.cost)
                self.removed.append((victim.name, list(victim.boot.held)))
                self.world.spawn(victim.evict())

    def cost(self, pod):
        raw = self.world.server.objects[PODS][(NAMESPACE, pod.name)]
        return int((raw["metadata"].get("annotations") or {}).get(names.ANNOTATION_POD_DELETION_COST, 0))


def scenario(test):
    """Run an async test in virtual time with one worker and a Deployment; the world is closed at its end."""

    def wrapped(*args, **kwargs):
        async def main():
            world = World(workers=1, sessions_per_worker=PER_WORKER)
            scale = {"enabled": True, "minReplicas": 1, "maxReplicas": 4, "targetUtilization": 100}
            change(world, autoscaling={**scale, "scaleDownStabilization": WINDOW})
            sets = ReplicaSets(world)
            world.spawn(sets.run())
            try:
                await test(world, sets, *args, **kwargs)
            finally:
                await world.close()

        return run(main())

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


def change(world, **spec):
    world.server.patch(POOLS, (NAMESPACE, "default"), {"spec": spec}, None)


def replicas(world):
    return world.server.objects[POOLS][(NAMESPACE, "default")]["spec"]["replicas"]


def marks(world):
    pods = world.server.objects[PODS].values()
    cordons = {pod["metadata"]["name"]: (pod["metadata"].get("annotations") or {}) for pod in pods}
    return {name: found[names.ANNOTATION_CORDON] for name, found in cordons.items() if names.ANNOTATION_CORDON in found}


def stop(world, *sessions, state="Stopped"):
    for name in sessions:
        world.server.patch(SESSIONS, (NAMESPACE, name), {"spec": {"desiredState": state}}, None)


async def grown(world, number, workers):
    for index in range(number):
        world.add_session(f"s{index}")
    await eventually(lambda: replicas(world) == workers, 30, f"{workers} workers are wanted")
    await eventually(lambda: len(world.witness.running) == number, 60, "all run")
    await asyncio.sleep(3)


def runs(world, number):
    return lambda: len(world.witness.running) == number


@scenario
async def test_a_pool_grows_with_its_sessions_and_shrinks_by_empty_workers(world, sets):
    Operator(world)
    await grown(world, 12, 3)
    stop(world, *[f"s{number}" for number in range(9)])
    began = asyncio.get_running_loop().time()
    await eventually(lambda: len(sets.removed) == 2 and len(sets.alive()) == 1, 300, "two workers have gone")
    assert asyncio.get_running_loop().time() - began >= WINDOW - 1
    assert replicas(world) == 1
    assert [held for _, held in sets.removed] == [[], []]
    await eventually(runs(world, 3), 30, "the three are at home")
    for name in ("s9", "s10", "s11"):
        assert all(gap < 1.0 for gap in world.witness.gaps(name))
    await asyncio.sleep(3 * WINDOW)
    assert (replicas(world), len(sets.removed), marks(world)) == (1, 2, {})


@scenario
async def test_a_new_leader_goes_on_where_the_one_before_was(world, sets):
    """The window has run for most of its time, or a worker has been told to go, when the leader is killed."""
    operator = Operator(world)
    await grown(world, 8, 2)
    stop(world, *[f"s{number}" for number in range(6)])
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(WINDOW - 20)
    await operator.kill()
    operator = Operator(world)
    await eventually(lambda: marks(world), 60, "a worker is told to go")
    assert asyncio.get_running_loop().time() - began < WINDOW + 15, "the new leader did not begin to count again"
    told = next(iter(marks(world)))
    await operator.kill()
    Operator(world)
    await eventually(lambda: sets.removed, 60, "it has gone")
    assert sets.removed == [(told, [])]
    await eventually(runs(world, 2), 30, "both run")


@scenario
async def test_work_that_comes_back_keeps_the_worker_that_was_told_to_go(world, sets):
    Operator(world)
    await grown(world, 8, 2)
    for pod in sets.alive():
        pod.boot.slow = 20.0  # so that the drain takes its time
    stop(world, *[f"s{number}" for number in range(6)])
    await eventually(lambda: marks(world), WINDOW + 30, "a worker is told to go")
    stop(world, *[f"s{number}" for number in range(6)], state="Running")
    await eventually(lambda: not marks(world), 30, "it stays")
    await eventually(runs(world, 8), 60, "all run")
    await asyncio.sleep(2 * WINDOW)
    assert (replicas(world), sets.removed) == (2, [])


@scenario
async def test_without_autoscaling_only_others_write_the_number(world, sets):
    """A HorizontalPodAutoscaler, or a person, through `scale`."""
    Operator(world)
    await grown(world, 8, 2)
    stop(world, *[f"s{number}" for number in range(6)])
    await eventually(lambda: marks(world), WINDOW + 30, "a worker is told to go")
    change(world, autoscaling={"enabled": False}, replicas=3)
    await eventually(lambda: len(sets.alive()) == 3 and not marks(world), 60, "three workers, none of them marked")
    await asyncio.sleep(3 * WINDOW)
    assert (replicas(world), sets.removed) == (3, [])
    assert "autoscaling" not in world.server.objects[POOLS][(NAMESPACE, "default")]["status"]


@scenario
async def test_the_mark_of_a_person_is_left_alone(world, sets):
    Operator(world)
    await grown(world, 8, 2)
    pod = sets.alive()[0].name
    cordon = {"metadata": {"annotations": {names.ANNOTATION_CORDON: "true"}}}
    world.server.patch(PODS, (NAMESPACE, pod), cordon, None)
    # Its places do not count any more: another worker comes.
    await eventually(lambda: len(sets.alive()) == 3, 60, "a third worker")
    stop(world, *[f"s{number}" for number in range(8)])
    await eventually(lambda: len(sets.removed) == 1, 5 * WINDOW, "one goes")
    await asyncio.sleep(2 * WINDOW)
    assert marks(world) == {pod: "true"}
    assert pod in [one.name for one in sets.alive()]


@pytest.mark.parametrize("workers", [200, 1000])
def test_the_status_of_a_large_pool_is_small(workers):
    import json
    from datetime import UTC, datetime

    from whatsam_core.resources import PoolStatus, Worker, WorkerState

    now = datetime(2026, 1, 1, tzinfo=UTC)
    one = Worker(
        name="connectors-in-production-6f7c9d8b5d-x2x4z",
        podUID="00000000-0000-0000-0000-000000000000",
        boot_id="0123456789abcdef",
        state=WorkerState.MAINTENANCE,
        sessions=50,
        cpu="100%",
        memory="100%",
        last_heartbeat=now,
    )
    size = len(json.dumps(PoolStatus(workers=[one] * workers).to_wire()))
    assert size < 300 * workers
