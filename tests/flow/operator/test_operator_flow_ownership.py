"""Two clusters at one part of the bucket: the second touches nothing until the first is gone, or a person says so."""

import asyncio
import json
from datetime import timedelta

from operator_cluster import Faults, clock, eventually
from operator_world import NAMESPACE, Operator
from test_operator_flow_life import scenario

from whatsam_core.resources import DeletionPolicy
from whatsam_core.storage.cluster import SESSIONS
from whatsam_core.storage.objects import ObjectStoreUnreachable
from whatsam_operator.planning.ownership import FRESH
from whatsam_operator.services.ownership import take_over
from whatsam_operator.storage.states import States

OWNER = "whatsam/owner"


def another_clusters(world, cluster="cluster-two"):
    mark = {"cluster": cluster, "namespace": "there", "writer": "their-operator", "seenAt": clock().wall.isoformat()}
    world.bucket[OWNER] = json.dumps(mark).encode()


def stalled(world, name):
    found = [item for item in world.status(name).get("conditions", []) if item["type"] == "Stalled"]
    return bool(found) and (found[0]["status"], found[0]["reason"]) == ("True", "StoreOfAnotherInstallation")


@scenario
async def test_a_store_that_another_living_cluster_uses_is_refused_until_a_person_takes_it_over(world):
    another_clusters(world)
    world.bucket["whatsam/tombstones/ns/x"] = b"theirs"
    before = dict(world.bucket)
    operator = Operator(world)
    world.add_session("a")
    await eventually(lambda: stalled(world, "a"), 10, "a says why it does not start")
    for _ in range(20):
        await asyncio.sleep(30)
        another_clusters(world)  # it renews its mark
    assert world.status("a").get("assignment") is None
    assert world.status("a").get("epoch", 0) == 0
    assert {**world.bucket, OWNER: b""} == {**before, OWNER: b""}
    assert "StoreOfAnotherInstallation" in operator.told("a")
    await take_over(States(operator.store, "whatsam"), "cluster-one", "system", clock().wall)
    await eventually(lambda: world.all_running() and not stalled(world, "a"), 10, "a runs")
    assert json.loads(world.bucket[OWNER])["cluster"] == "cluster-one"


@scenario
async def test_a_cluster_that_has_lost_its_store_to_another_one_starts_and_destroys_nothing_any_more(world):
    operator = Operator(world)
    world.add_session("a")
    await world.settled()
    epoch = world.status("a")["epoch"]
    another_clusters(world)
    await asyncio.sleep(70)
    assert world.all_running()  # what runs goes on
    victim = next(pod for pod in world.pods if pod.boot and "a" in pod.boot.held)
    await victim.crash(restart_after=None)
    another_clusters(world)
    await eventually(lambda: stalled(world, "a"), 30, "a says why it is not started again")
    assert world.status("a")["epoch"] == epoch
    assert json.loads(world.bucket[OWNER])["cluster"] == "cluster-two"
    assert "StoreOfAnotherInstallation" in operator.told("a")


@scenario
async def test_a_cluster_that_is_gone_leaves_its_store_to_the_next_one(world):
    another_clusters(world)
    Operator(world)
    world.add_session("a")
    await asyncio.sleep(FRESH.total_seconds() / 2)
    assert stalled(world, "a")
    await asyncio.sleep((FRESH / 2 + timedelta(seconds=10)).total_seconds())
    await eventually(lambda: world.all_running() and not stalled(world, "a"), 10, "a runs")


@scenario
async def test_a_damaged_mark_is_refused_and_kept(world):
    world.bucket[OWNER] = b"rubbish"
    Operator(world)
    world.add_session("a")
    await eventually(lambda: stalled(world, "a"), 10, "a says why it does not start")
    assert world.bucket[OWNER] == b"rubbish"


@scenario
async def test_a_twin_from_a_snapshot_is_noticed(world):
    Operator(world)
    world.add_session("a")
    await world.settled()
    for _ in range(2):
        another_clusters(world, cluster="cluster-one")
        await asyncio.sleep(61)
    world.add_session("b")
    await eventually(lambda: stalled(world, "b"), 10, "b says why it does not start")


@scenario
async def test_a_store_that_has_not_answered_yet_is_waited_for(world):
    class Away(Faults):
        async def before(self, verb, kind, key):
            if kind == "store" and self.away:
                raise ObjectStoreUnreachable("no answer")

        away = True

    faults = Away()
    Operator(world, faults)
    world.add_session("a")
    await asyncio.sleep(5)
    faults.away = False
    await eventually(world.all_running, 10, "a runs")


@scenario
async def test_a_deletion_leaves_another_clusters_state_alone(world):
    Operator(world)
    world.add_session("a", deletionPolicy=DeletionPolicy.LOGOUT.value)
    await world.settled()
    another_clusters(world)
    await asyncio.sleep(70)
    for pod in world.pods:
        await pod.crash(restart_after=None)
    world.bucket["whatsam/auth/ns/a/key"] = b"theirs"
    another_clusters(world)
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    for _ in range(10):
        await asyncio.sleep(30)
        another_clusters(world)
    assert world.bucket["whatsam/auth/ns/a/key"] == b"theirs"
    assert world.session("a")["metadata"]["finalizers"]
