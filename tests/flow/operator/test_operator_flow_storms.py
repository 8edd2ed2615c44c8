"""A session that takes its worker down whenever it starts: the others go on, and it is left to a person."""

import asyncio

from operator_cluster import eventually
from operator_virtual import run
from operator_world import NAMESPACE, Operator, World

from whatsam_core.storage.cluster import SESSIONS
from whatsam_operator.planning.starts import TRIES

GOOD = [f"s{number}" for number in range(8)]


def test_a_session_that_kills_its_workers_is_stalled_and_the_others_live():
    run(poisoned())


async def poisoned():
    world = World()
    try:
        operator = Operator(world)
        for name in GOOD:
            world.add_session(name)
        await world.settled()
        await asyncio.sleep(5)
        world.poison.add("bad")
        world.add_session("bad")
        await eventually(lambda: world.reason("bad", "Stalled") == "CrashLooping", 600, "it is given up")
        assert not world.status("bad").get("assignment")
        assert sum(name == "bad" for name, _, _ in world.assignments) == TRIES
        assert "CrashLooping" in operator.told("bad")
        await eventually(lambda: all(name in world.witness.running for name in GOOD), 60, "the others run")
        assert not [name for name in GOOD if world.reason(name, "Stalled") == "CrashLooping"]
        before = list(world.assignments)
        await asyncio.sleep(600)
        assert world.assignments == before, "it is at rest"

        world.poison.clear()
        for desired in ("Stopped", "Running"):
            world.server.patch(SESSIONS, (NAMESPACE, "bad"), {"spec": {"desiredState": desired}}, None)
            await asyncio.sleep(2)
        await eventually(lambda: "bad" in world.witness.running, 30, "somebody has acted: it runs")
        assert world.reason("bad", "Stalled") == "Resolved"
    finally:
        await world.close()


def test_failed_starts_count_on_when_the_leader_changes():
    run(poisoned_under_many_leaders())


async def poisoned_under_many_leaders():
    world = World()
    try:
        operator = Operator(world)
        for name in GOOD:
            world.add_session(name)
        await world.settled()
        world.poison.add("bad")
        world.add_session("bad")
        leaders = 1
        while world.reason("bad", "Stalled") != "CrashLooping":
            tries = sum(name == "bad" for name, _, _ in world.assignments)
            assert tries <= TRIES, "nobody begins to count again"
            await eventually(
                lambda tries=tries: (
                    sum(name == "bad" for name, _, _ in world.assignments) > tries
                    or world.reason("bad", "Stalled") == "CrashLooping"
                ),
                600,
                "the next start, or the end of it",
            )
            await operator.kill()
            operator, leaders = Operator(world), leaders + 1
        assert leaders > TRIES
        assert sum(name == "bad" for name, _, _ in world.assignments) == TRIES
        assert world.status("bad")["failedStarts"]["count"] == TRIES
    finally:
        await world.close()


def test_workers_killed_again_and_again_while_their_sessions_are_up_cast_no_suspicion():
    run(killed_often())


async def killed_often():
    world = World()
    try:
        Operator(world)
        for name in GOOD:
            world.add_session(name)
        await world.settled()
        for turn in range(12):
            await eventually(lambda: all(world.status(name).get("phase") == "Connected" for name in GOOD), 30, "all up")
            await asyncio.sleep(2)  # an end within the second of the start is no proof: it waits for the Lease
            await world.pods[turn % 3].crash()
            started = asyncio.get_running_loop().time()
            await world.settled(within=10)
            assert asyncio.get_running_loop().time() - started < 3.0, "nobody waits because of earlier losses"
    finally:
        await world.close()
