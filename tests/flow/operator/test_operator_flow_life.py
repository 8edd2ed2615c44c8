"""A session's life as the operator conducts it, in virtual time."""

import asyncio

import pytest
from operator_cluster import Faults, eventually
from operator_virtual import run
from operator_world import NAMESPACE, Operator, World

from whatsam_core import names
from whatsam_core.storage.cluster import DEPLOYMENTS, LEASES, PDBS, POOLS, SESSIONS, Unreachable
from whatsam_core.storage.objects import ObjectStoreUnreachable


def scenario(test):
    """Run an async test in virtual time; the world is closed at its end."""

    def wrapped(*args, **kwargs):
        async def main():
            world = World(**getattr(test, "world", {}))
            try:
                await test(world, *args, **kwargs)
            finally:
                await world.close()

        return run(main())

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


@scenario
async def test_sessions_are_spread_over_the_workers_in_well_under_a_second(world):
    operator = Operator(world)
    await asyncio.sleep(2)
    for number in range(9):
        world.add_session(f"s{number}")
    started = asyncio.get_running_loop().time()
    await world.settled(within=2)
    assert asyncio.get_running_loop().time() - started < 1.0
    boots = [world.status(f"s{number}")["assignment"]["bootId"] for number in range(9)]
    assert sorted(boots.count(boot) for boot in set(boots)) == [3, 3, 3]
    assert all(world.status(f"s{number}")["epoch"] == 1 for number in range(9))
    assert operator.told("s0") == ["Assigned"]
    assert names.FINALIZER_OPERATOR in world.session("s0")["metadata"]["finalizers"]


@scenario
async def test_a_killed_worker_loses_its_sessions_as_soon_as_its_end_is_reported(world):
    operator = Operator(world)
    world.add_session("a")
    await world.settled()
    await asyncio.sleep(3)
    victim = next(pod for pod in world.pods if pod.boot and "a" in pod.boot.held)
    await victim.crash(restart_after=None)
    reported = asyncio.get_running_loop().time()
    await eventually(lambda: world.status("a")["epoch"] == 2 and world.all_running(), 5, "a runs elsewhere")
    assert asyncio.get_running_loop().time() - reported < 1.0
    assert world.status("a")["assignment"]["worker"] != victim.name
    assert world.status("a")["phase"] == "Connected"
    assert operator.told("a")[-2:] == ["WorkerLost", "Reassigned"]
    assert ("default", "WorkerLost") in [(name, reason) for name, reason, _ in operator.client.events]


@scenario
async def test_a_frozen_worker_keeps_its_sessions_until_its_lease_has_expired(world):
    Operator(world)
    world.add_session("a")
    await world.settled()
    victim = next(pod for pod in world.pods if pod.boot and "a" in pod.boot.held)
    frozen_at = asyncio.get_running_loop().time()
    victim.boot.frozen = True
    await eventually(lambda: world.status("a")["epoch"] == 2, 60, "a is reassigned")
    assert 13.0 <= asyncio.get_running_loop().time() - frozen_at <= 20.0
    await world.settled()
    lease = world.server.objects[LEASES][(NAMESPACE, f"default-{victim.boot.boot_id}")]
    assert lease["metadata"]["annotations"][names.LEASE_STATE] == "Revoked"
    victim.boot.frozen = False
    await asyncio.sleep(5)
    assert world.status("a")["epoch"] == 2
    await world.settled()


@scenario
async def test_a_force_deleted_pod_is_no_proof(world):
    Operator(world)
    world.add_session("a")
    await world.settled()
    victim = next(pod for pod in world.pods if pod.boot and "a" in pod.boot.held)
    victim.force_delete()
    await asyncio.sleep(12)
    assert world.status("a")["epoch"] == 1
    victim.boot.end()
    await eventually(lambda: world.status("a")["epoch"] == 2, 40, "a is reassigned")
    await world.settled()


@scenario
async def test_a_drained_worker_hands_over_without_a_wait(world):
    operator = Operator(world)
    for number in range(6):
        world.add_session(f"s{number}")
    await world.settled()
    victim = world.pods[0]
    drained_at = asyncio.get_running_loop().time()
    await victim.boot.drain()
    await world.settled()
    assert asyncio.get_running_loop().time() - drained_at < 2.0
    moved = [number for number in range(6) if world.status(f"s{number}")["epoch"] == 2]
    assert len(moved) == 2
    assert "WorkerLost" not in operator.told(f"s{moved[0]}")


@scenario
async def test_a_restarted_container_gets_its_sessions_back_when_there_is_nowhere_else(world):
    world.server.patch(POOLS, (NAMESPACE, "default"), {"spec": {"replicas": 1}}, None)
    for pod in world.pods[1:]:
        await pod.boot.drain()
    Operator(world)
    world.add_session("a")
    await world.settled()
    await world.pods[0].crash(restart_after=3.0)
    await world.settled()
    assert world.status("a")["assignment"]["worker"] == world.pods[0].name
    assert world.status("a")["epoch"] == 2


@scenario
async def test_no_capacity_says_so_and_ends_when_there_is_some(world):
    world.limit = 1
    world.server.patch(POOLS, (NAMESPACE, "default"), {"spec": {"sessionsPerWorker": 1}}, None)
    operator = Operator(world)
    for number in range(4):
        world.add_session(f"s{number}")
    await eventually(lambda: world.status("s3").get("phase") == "Pending", 5, "s3 is pending")
    condition = next(c for c in world.status("s3")["conditions"] if c["type"] == "Scheduled")
    assert condition["reason"] == "NoCapacity"
    assert "0 of 3 workers" in condition["message"]
    await eventually(lambda: operator.told("s3") == ["Unschedulable"], 5, "it is told")
    world.server.delete(SESSIONS, (NAMESPACE, "s0"))
    await world.settled()
    assert world.status("s3")["assignment"]


@scenario
async def test_stopped_is_handed_over_cleared_and_starts_again_under_a_new_epoch(world):
    Operator(world)
    world.add_session("a")
    await world.settled()
    world.server.patch(SESSIONS, (NAMESPACE, "a"), {"spec": {"desiredState": "Stopped"}}, None)
    await eventually(lambda: "assignment" not in world.status("a"), 5, "a is stopped")
    assert world.status("a")["phase"] == "Disconnected"
    assert world.reason("a") == "Stopped"
    assert world.reason("a", "Ready") == "Stopped"
    assert world.status("a")["observedGeneration"] == 2
    world.server.patch(SESSIONS, (NAMESPACE, "a"), {"spec": {"desiredState": "Running"}}, None)
    await world.settled()
    assert world.status("a")["epoch"] == 2


@scenario
async def test_logout_destroys_the_state_and_lets_the_object_go(world):
    operator = Operator(world)
    world.add_session("a", deletionPolicy="Logout")
    await world.settled()
    await eventually(lambda: any("/a/key" in key for key in world.bucket), 5, "a has a state")
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    await eventually(lambda: not world.session("a"), 10, "a is gone")
    assert not world.states
    await asyncio.sleep(1)
    assert "StateDestroyed" in operator.told("a")


@scenario
async def test_logout_without_a_worker_is_bounded(world):
    operator = Operator(world)
    world.add_session("a", deletionPolicy="Logout")
    await world.settled()
    await asyncio.sleep(1)
    for pod in world.pods:
        await pod.boot.drain()
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    await asyncio.sleep(60)
    assert world.session("a"), "the state is kept while a worker may still come"
    await eventually(lambda: not world.session("a"), 90, "a is gone")
    await asyncio.sleep(1)
    assert "LogoutSkipped" in operator.told("a")
    assert not world.states


@scenario
async def test_retain_is_adopted_by_the_next_session_of_the_name_and_tenant(world):
    operator = Operator(world)
    world.add_session("a")
    await world.settled()
    await eventually(lambda: world.status("a").get("jid"), 5, "a is paired")
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    await eventually(lambda: not world.session("a"), 10, "a is gone")
    assert f"whatsam/tombstones/{NAMESPACE}/a" in world.bucket
    assert any("/auth/" in key for key in world.bucket)
    world.add_session("a")
    await world.settled()
    assert world.status("a")["jid"] == "a@s.whatsapp.net"
    assert world.status("a")["epoch"] == 2
    assert f"whatsam/tombstones/{NAMESPACE}/a" not in world.bucket
    await asyncio.sleep(1)
    assert {"StateRetained", "Adopted"} <= set(operator.told("a"))


@scenario
async def test_another_tenants_session_of_the_name_is_refused_and_its_deletion_harms_nothing(world):
    Operator(world)
    world.add_session("a")
    await world.settled()
    await eventually(lambda: world.status("a").get("jid"), 5, "a is paired")
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    await eventually(lambda: not world.session("a"), 10, "a is gone")
    left = world.states
    world.add_session("a", tenant="mallory", deletionPolicy="Logout")
    await eventually(lambda: world.reason("a") == "StateOfAnotherTenant", 5, "it is refused")
    assert world.reason("a", "Stalled") == "StateOfAnotherTenant"
    assert "assignment" not in world.status("a")
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    await eventually(lambda: not world.session("a"), 10, "it is gone")
    assert world.states == left


@scenario
async def test_a_state_whose_key_names_another_tenant_is_never_destroyed(world):
    """The last guard: whatever the status says, the key in the store says whose the state is."""
    operator = Operator(world)
    world.add_session("a", tenant="mallory", deletionPolicy="Logout")
    await world.settled()
    await eventually(lambda: any(key.endswith("/a/key") for key in world.bucket), 5, "acme's key lies there")
    left = world.states
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    await eventually(lambda: not world.session("a"), 10, "it is gone")
    assert world.states == left
    await asyncio.sleep(1)
    assert "StateDestroyed" not in operator.told("a")
    assert "StateNotDestroyed" in operator.told("a")


@scenario
async def test_while_whose_the_object_store_is_cannot_be_asked_nothing_starts_and_nothing_goes(world):
    class Away(Faults):
        away = True

        async def before(self, verb, kind, key):
            if kind == "store" and self.away:
                raise ObjectStoreUnreachable("away")

    world.server.create(SESSIONS, {"metadata": {"name": "old", "namespace": NAMESPACE}, "spec": {"tenant": "acme"}})
    world.server.patch(SESSIONS, (NAMESPACE, "old"), {"status": {"epoch": 3, "jid": "1:1@s"}}, "status")
    faults = Away()
    Operator(world, faults)
    world.add_session("new")
    for name in ("old", "new"):
        await eventually(lambda name=name: world.reason(name) == "ObjectStoreUnreachable", 5, "it says why it waits")
        assert "assignment" not in world.status(name)
    world.server.delete(SESSIONS, (NAMESPACE, "old"))
    await asyncio.sleep(30)
    assert world.session("old"), "without its tombstone it must not go"
    faults.away = False
    await eventually(lambda: not world.session("old"), 20, "it goes")
    assert any("tombstones" in key for key in world.bucket)
    await world.settled(within=20)


@scenario
async def test_a_deployment_of_somebody_else_is_not_touched(world):
    theirs = {"metadata": {"name": "default", "namespace": NAMESPACE}, "spec": {"replicas": 9, "template": {}}}
    world.server.create(DEPLOYMENTS, theirs)
    operator = Operator(world)
    await eventually(
        lambda: ("default", "NameTaken") in [(name, reason) for name, reason, _ in operator.client.events], 10, "told"
    )
    await asyncio.sleep(40)
    assert world.server.objects[DEPLOYMENTS][(NAMESPACE, "default")]["spec"] == theirs["spec"]


@scenario
async def test_a_retained_state_is_destroyed_when_its_time_is_over(world):
    Operator(world)
    world.add_session("a")
    await world.settled()
    await asyncio.sleep(1)
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    await eventually(lambda: not world.session("a"), 10, "a is gone")
    left = set(world.states)
    await asyncio.sleep(60)
    assert set(world.states) == left, "sweeps leave it alone while its time is not over"
    world.expire_tombstone("a")
    await eventually(lambda: not world.states, 60, "all of it is destroyed")


@scenario
async def test_an_expired_state_is_never_adopted(world):
    Operator(world, sweep_period=3600.0)
    world.add_session("a")
    await world.settled()
    await asyncio.sleep(1)
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    await eventually(lambda: not world.session("a"), 10, "a is gone")
    world.expire_tombstone("a")
    old = set(world.states)
    world.pairs = False
    world.add_session("a", tenant="other")
    await world.settled()
    assert "jid" not in world.status("a")
    assert not old & set(world.states)


@scenario
async def test_a_pool_with_sessions_waits_and_says_so(world):
    operator = Operator(world)
    world.add_session("a")
    await world.settled()
    world.server.delete(POOLS, (NAMESPACE, "default"))
    await asyncio.sleep(3)
    pool = world.server.objects[POOLS][(NAMESPACE, "default")]
    ready = next(c for c in pool["status"]["conditions"] if c["type"] == "Ready")
    assert ready["reason"] == "DeletionWaiting"
    assert "1 session" in ready["message"]
    assert ("default", "DeletionWaiting") in [(name, reason) for name, reason, _ in operator.client.events]
    world.server.delete(SESSIONS, (NAMESPACE, "a"))
    await eventually(lambda: (NAMESPACE, "default") not in world.server.objects[POOLS], 10, "the pool is gone")


@scenario
async def test_a_pool_becomes_a_deployment_and_a_budget_and_follows_its_replicas(world):
    Operator(world)
    await eventually(lambda: (NAMESPACE, "default") in world.server.objects[PDBS], 5, "the budget is there")
    deployment = world.server.objects[DEPLOYMENTS][(NAMESPACE, "default")]
    assert deployment["spec"]["replicas"] == 3
    world.server.patch(POOLS, (NAMESPACE, "default"), {"spec": {"replicas": 5}}, None)
    await eventually(
        lambda: world.server.objects[DEPLOYMENTS][(NAMESPACE, "default")]["spec"]["replicas"] == 5, 5, "it follows"
    )
    status = world.server.objects[POOLS][(NAMESPACE, "default")]["status"]
    assert status["readyReplicas"] == 3
    assert status["capacity"] == 30
    assert {worker["state"] for worker in status["workers"]} == {"Online"}


@scenario
async def test_a_shrinking_pool_first_tells_which_pods_are_empty(world):
    Operator(world)
    world.add_session("a")
    await world.settled()
    seen = []
    world.server.watchers.append(lambda kind, thing, _: seen.append((kind, thing)))
    world.server.patch(POOLS, (NAMESPACE, "default"), {"spec": {"replicas": 2}}, None)
    await eventually(
        lambda: world.server.objects[DEPLOYMENTS][(NAMESPACE, "default")]["spec"]["replicas"] == 2, 5, "it shrinks"
    )
    costs = [
        (thing["metadata"]["name"], thing["metadata"]["annotations"][names.ANNOTATION_POD_DELETION_COST])
        for _, thing in seen
        if names.ANNOTATION_POD_DELETION_COST in thing["metadata"].get("annotations", {})
    ]
    assert costs == [(world.status("a")["assignment"]["worker"], "1")]


@scenario
async def test_the_younger_of_two_sessions_with_one_device_does_not_run(world):
    Operator(world)
    world.add_session("old")
    await world.settled()
    await eventually(lambda: world.status("old").get("jid"), 5, "paired")
    await asyncio.sleep(2)
    world.add_session("young", desiredState="Stopped")
    await eventually(lambda: world.reason("young") == "Stopped", 5, "stopped")
    world.server.patch(SESSIONS, (NAMESPACE, "young"), {"status": {"jid": "old@s.whatsapp.net"}}, "status")
    world.server.patch(SESSIONS, (NAMESPACE, "young"), {"spec": {"desiredState": "Running"}}, None)
    await eventually(lambda: world.reason("young") == "DuplicateDevice", 5, "refused")
    assert "assignment" not in world.status("young")
    assert "old" in world.witness.running
    world.server.delete(SESSIONS, (NAMESPACE, "old"))
    await world.settled()
    assert world.status("young")["assignment"]


@pytest.mark.parametrize("elected", [None, "one"], ids=["always-leader", "elected"])
@pytest.mark.parametrize("outage", [20.0, 40.0])
def test_an_api_server_that_was_away_costs_nobody_its_sessions(outage, elected):
    class Away(Faults):
        away = False

        async def before(self, verb, kind, key):
            if self.away and kind != "store":
                raise Unreachable("away")

    async def main():
        world = World()
        faults = Away()
        world.connectors.faults = faults
        Operator(world, faults, elected=elected)
        for number in range(6):
            world.add_session(f"s{number}")
        await world.settled()
        await asyncio.sleep(3)
        faults.away = True
        await asyncio.sleep(outage)
        faults.away = False
        await world.settled(within=10)
        await asyncio.sleep(30)
        assert all(world.status(f"s{number}")["epoch"] == 1 for number in range(6))
        await world.close()

    run(main())
