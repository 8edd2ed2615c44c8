"""The operator process against a real API server: connectors are played by hand, everything else is real."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from operator_hand import LIMIT, OperatorProcess, Stage, eventually, installation, object_store, runs_in_cluster
from resources_kit import Kubectl

from whatsam_core import names
from whatsam_core.lease import LeaseRecord, LeaseState
from whatsam_core.resources import Phase
from whatsam_core.sessions_state import key_object, session_prefix, tombstone_key
from whatsam_core.storage.cluster import DEPLOYMENTS, LEASES, PDBS, PODS, POOLS, SESSIONS, Changed, Cluster, Conflict
from whatsam_core.storage.objects import ObjectStore

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def operator(kubectl: Kubectl, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The cluster's own operator, or one of this tree."""

    async def look() -> bool:
        os.environ["KUBECONFIG"] = str(kubeconfig)
        async with await Cluster.connect() as cluster:
            return await runs_in_cluster(cluster)

    if asyncio.run(look()):
        yield
        return
    process = OperatorProcess(kubeconfig, tmp_path_factory.mktemp("operator") / "log", lease="whatsam-operator")
    try:
        process.wait_until_it_leads()
        yield
    finally:
        assert process.stop() == 0


@pytest_asyncio.fixture
async def stage(
    operator: None, namespace: str, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """A namespace with a pool of hand-made workers."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    async with await Cluster.connect() as cluster:
        made = Stage(cluster, namespace)
        await made.add_pool(sessionsPerWorker=10)
        try:
            yield made
        finally:
            await made.close()


@pytest_asyncio.fixture
async def store(kubeconfig: Path) -> AsyncIterator[ObjectStore]:
    """The cluster's object store."""
    known = object_store(kubeconfig)
    made = ObjectStore(
        known["WHATSAM_S3_URL"],
        known["WHATSAM_S3_ACCESS_KEY"],
        known["WHATSAM_S3_SECRET_KEY"],
        known.get("WHATSAM_S3_BUCKET", "whatsam"),
    )
    yield made
    await made.close()


async def test_a_session_is_assigned_and_describe_tells_its_story(stage: Stage, kubectl: Kubectl) -> None:
    await stage.add_session("a")
    await stage.reason("a", "Scheduled", "NoWorkers")
    worker = await stage.add_worker("w1")
    found = await stage.assigned("a", 1)
    assert found.status.assignment is not None
    assert found.status.assignment.pod_uid == worker.uid
    assert found.status.assignment.boot_id == worker.record.boot_id
    assert found.status.phase is Phase.INITIALIZING
    assert names.FINALIZER_OPERATOR in found.metadata.finalizers
    assert await stage.told("a", "Assigned") == "assigned to w1 (epoch 1)"
    said = kubectl("describe", "was", "a", "-n", stage.namespace)
    assert "Unschedulable" in said
    assert "assigned to w1 (epoch 1)" in said


async def test_the_end_of_a_container_moves_its_sessions_and_revokes_its_lease_first(stage: Stage) -> None:
    first, second = await stage.add_worker("w1"), await stage.add_worker("w2")
    await stage.add_session("a")
    found = await stage.assigned("a", 1)
    holder, other = (first, second) if found.status.assignment.worker == "w1" else (second, first)
    await holder.die()
    moved = await stage.assigned("a", 2)
    assert moved.status.assignment.worker == other.name
    assert moved.status.migrations == 1
    lease = LeaseRecord.from_wire(await stage.cluster.get(LEASES, stage.namespace, holder.record.name))
    assert lease.state is LeaseState.REVOKED
    with pytest.raises(Conflict):
        await holder.renew()
    assert "exit code 137" in await stage.told("a", "WorkerLost")
    assert await stage.told("a", "Reassigned") == f"moved from {holder.name} to {other.name} (epoch 2)"
    assert holder.name in await stage.told("default", "WorkerLost")


async def test_a_lease_that_stands_still_is_revoked_after_its_own_duration(stage: Stage) -> None:
    silent = await stage.add_worker("w1", duration=4)
    await stage.add_session("a")
    await stage.assigned("a", 1)
    await stage.add_worker("w2")
    await silent.silence()
    moved = await stage.assigned("a", 2)
    assert moved.status.assignment.worker == "w2"
    assert "4 s" in await stage.told("a", "WorkerLost")


async def test_a_deleted_pod_and_lease_are_no_proof(stage: Stage) -> None:
    lost = await stage.add_worker("w1")
    await stage.add_session("a")
    await stage.assigned("a", 1)
    await stage.add_worker("w2")
    await lost.silence()
    await stage.cluster.delete(PODS, stage.namespace, "w1", grace_seconds=0)
    await stage.cluster.delete(LEASES, stage.namespace, lost.record.name)

    async def moved_or_waited() -> bool:
        found = await stage.session("a")
        return found.status.epoch == 2

    with pytest.raises(AssertionError, match="not within"):
        await eventually(moved_or_waited, "nothing should happen", within=8)
    await stage.assigned("a", 2, within=30)


async def test_a_draining_worker_keeps_what_it_has_not_handed_over(stage: Stage) -> None:
    draining = await stage.add_worker("w1")
    for name in ("a", "b"):
        await stage.add_session(name)
        await stage.assigned(name, 1)
    await stage.add_worker("w2")
    await draining.silence()  # one writer of the Lease at a time
    await draining.renew(LeaseState.DRAINING)
    await stage.say("a", handover={"epoch": 1, "seq": 3, "sha256": "ab"})
    moved = await stage.assigned("a", 2)
    assert moved.status.handover.epoch == 1
    assert (await stage.session("b")).status.epoch == 1
    await draining.renew(LeaseState.RELEASED)
    await stage.assigned("b", 2)


async def test_stopped_is_cleared_after_the_hand_over(stage: Stage) -> None:
    await stage.add_worker("w1")
    await stage.add_session("a")
    await stage.assigned("a", 1)
    await stage.change("a", desiredState="Stopped")
    await stage.say("a", handover={"epoch": 1, "seq": 0, "sha256": ""}, phase="Disconnected")
    await stage.reason("a", "Scheduled", "Stopped")
    found = await stage.session("a")
    assert found.status.assignment is None
    assert found.status.phase is Phase.DISCONNECTED
    await stage.change("a", desiredState="Running")
    await stage.assigned("a", 2)


async def test_retain_adopt_refuse_and_logout(stage: Stage, store: ObjectStore) -> None:
    mine = await installation(stage.cluster)
    prefix = session_prefix(mine, stage.namespace, "a")
    await stage.add_worker("w1")
    await stage.add_session("a")
    await stage.assigned("a", 1)
    owner = '{"keyId":"k1","wrapped":"eA==","tenant":"acme","createdAt":"2026-01-01T00:00:00Z"}'
    await store.put(key_object(prefix), owner.encode())
    await store.put(f"{prefix}e0000000001-boot/base-0000000001", b"state")
    await stage.say("a", jid="1:2@s.whatsapp.net", phoneNumber="491510000001", phase="Connected")
    await stage.cluster.delete(SESSIONS, stage.namespace, "a")
    await stage.told("a", "Deleting")
    await stage.say("a", handover={"epoch": 1, "seq": 1, "sha256": "ab"})
    await stage.gone("a")
    assert await store.get(tombstone_key(mine, stage.namespace, "a"))

    await stage.add_session("a", tenant="mallory", deletionPolicy="Logout")
    await stage.reason("a", "Stalled", "StateOfAnotherTenant")
    await stage.cluster.delete(SESSIONS, stage.namespace, "a")
    await stage.gone("a")
    assert len(await store.list(prefix)) == 2

    await stage.add_session("a", deletionPolicy="Logout")
    found = await stage.assigned("a", 2)
    assert found.status.jid == "1:2@s.whatsapp.net"
    assert found.status.phase is Phase.RECONNECTING
    assert not await store.list(tombstone_key(mine, stage.namespace, "a"))

    await stage.cluster.delete(SESSIONS, stage.namespace, "a")
    await stage.told("a", "Deleting", containing="log the device out")
    await stage.say("a", handover={"epoch": 2, "seq": 2, "sha256": "ab"}, phase="LoggedOut")
    await stage.gone("a")
    assert not await store.list(prefix)
    await stage.told("a", "StateDestroyed")


async def test_a_pool_is_a_deployment_that_follows_and_waits_for_its_sessions(stage: Stage, kubectl: Kubectl) -> None:
    async def made() -> bool:
        found = await stage.cluster.list(PDBS, stage.namespace)
        return [one["metadata"]["name"] for one in found.items] == ["default"]

    await eventually(made, "the budget is there")
    deployment = await stage.cluster.get(DEPLOYMENTS, stage.namespace, "default")
    assert deployment["metadata"]["ownerReferences"][0]["kind"] == names.POOL_KIND
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "WHATSAM_POOL", "value": "default"} in container["env"]

    kubectl(
        "patch",
        "wp",
        "default",
        "-n",
        stage.namespace,
        "--type=merge",
        "-p",
        '{"spec":{"cohortSize":3,"engine":"whatsmeow"}}',
    )

    async def rendered() -> bool:
        known = await stage.cluster.get(DEPLOYMENTS, stage.namespace, "default")
        env = {one["name"]: one.get("value") for one in known["spec"]["template"]["spec"]["containers"][0]["env"]}
        return (env["WHATSAM_COHORT_SIZE"], env["WHATSAM_ENGINE"]) == ("3", "whatsmeow")

    await eventually(rendered, "the Deployment follows the pool")
    generation = (await stage.cluster.get(DEPLOYMENTS, stage.namespace, "default"))["metadata"]["generation"]

    await stage.add_worker("w1")
    await stage.add_session("a")
    await stage.assigned("a", 1)

    async def counted() -> bool:
        status = (await stage.cluster.get(POOLS, stage.namespace, "default"))["status"]
        worker = status["workers"][0] if status.get("workers") else {}
        online = (worker.get("state"), worker.get("sessions"), status["capacity"])
        return status["sessions"] == 1 and online == ("Online", 1, 10)

    await eventually(counted, "the pool's status counts workers and sessions")
    assert (await stage.cluster.get(DEPLOYMENTS, stage.namespace, "default"))["metadata"]["generation"] == generation

    kubectl("delete", "wp", "default", "-n", stage.namespace, "--wait=false")
    assert "1 session" in await stage.told("default", "DeletionWaiting")
    await stage.cluster.delete(SESSIONS, stage.namespace, "a")
    await stage.say("a", handover={"epoch": 1, "seq": 0, "sha256": ""})

    async def gone() -> bool:
        return not (await stage.cluster.list(POOLS, stage.namespace)).items

    await eventually(gone, "the pool is gone")


async def test_scaling_a_pool_scales_its_deployment(stage: Stage, kubectl: Kubectl) -> None:
    for replicas in (1, 0):
        kubectl("scale", "wp", "default", "-n", stage.namespace, f"--replicas={replicas}")

        async def scaled(wanted: int = replicas) -> bool:
            found = (await stage.cluster.list(DEPLOYMENTS, stage.namespace)).items
            return bool(found) and found[0]["spec"]["replicas"] == wanted

        await eventually(scaled, f"the Deployment has {replicas} replicas")


async def test_a_second_operator_that_leads_at_the_same_time_does_no_harm(
    stage: Stage, kubeconfig: Path, tmp_path: Path
) -> None:
    """Two leaders, by giving the second one a Lease of its own. It is killed in the middle of its work."""
    lease = f"whatsam-operator-{secrets.token_hex(3)}"
    epochs: list[tuple[str, int, str]] = []

    async def watch() -> None:
        async for event in stage.cluster.reflect(SESSIONS, stage.namespace):
            if isinstance(event, Changed) and event.object.get("status", {}).get("assignment"):
                status = event.object["status"]
                epochs.append((event.object["metadata"]["name"], status["epoch"], status["assignment"]["bootId"]))

    watching = asyncio.create_task(watch())
    process = OperatorProcess(kubeconfig, tmp_path / "log", lease=lease)
    try:
        await asyncio.to_thread(process.wait_until_it_leads)
        workers = [await stage.add_worker(f"w{number}") for number in range(3)]
        session_names = [f"s{number}" for number in range(15)]
        for name in session_names:
            await stage.add_session(name)
        for name in session_names:
            await stage.assigned(name, 1)
        # About a third: each of the two sees what the other one has given away a moment later.
        held = [(await stage.session(name)).status.assignment for name in session_names]
        lost = sum(one is not None and one.worker == "w0" for one in held)
        assert lost > 0
        await asyncio.gather(workers[0].die(), _kill(process))
        await stage.add_worker("w9")

        async def nobody_on_the_dead() -> bool:
            found = [await stage.session(name) for name in session_names]
            return all(one.status.assignment and one.status.assignment.worker != "w0" for one in found)

        await eventually(nobody_on_the_dead, "all sessions of the dead worker moved", within=2 * LIMIT)
        found = [await stage.session(name) for name in session_names]
        assert sorted(one.status.epoch for one in found) == [1] * (15 - lost) + [2] * lost
        assert max(_loads(found).values()) <= 10
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        process.stop(signal.SIGKILL)
        await stage.cluster.delete(LEASES, "whatsam", lease)
    holders = {(name, epoch): {boot for n, e, boot in epochs if (n, e) == (name, epoch)} for name, epoch, _ in epochs}
    assert all(len(boots) == 1 for boots in holders.values()), "an epoch never has two holders"


async def _kill(process: OperatorProcess) -> None:
    await asyncio.to_thread(process.stop, signal.SIGKILL)


def _loads(sessions: list) -> dict[str, int]:
    loads: dict[str, int] = {}
    for one in sessions:
        loads[one.status.assignment.boot_id] = loads.get(one.status.assignment.boot_id, 0) + 1
    return loads
