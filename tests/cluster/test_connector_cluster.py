"""The connector's storage against a real API server, with the token of a connector's pod."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from resources_kit import Kubectl, Workers, as_token, assignment, pool, session

from whatsam_connector.assignments.plan import Me, is_ours
from whatsam_connector.clock import SystemClock
from whatsam_connector.http.tokens import TokenChecker
from whatsam_connector.lease.verdict import Answer, Attempt, Verdict, judge_read_back
from whatsam_connector.sessions.report import report
from whatsam_connector.sessions.state import SessionState, ShownCode, Stage
from whatsam_connector.sessions.status_patch import Holder, ReplicationView
from whatsam_connector.sessions.status_writer import StatusWriter
from whatsam_connector.storage.leases import ClusterLeases
from whatsam_connector.storage.sessions import ClusterSessions
from whatsam_core import names
from whatsam_core.lease import LeaseRecord, LeaseState, lease_name
from whatsam_core.resources.session import WhatsAppSession
from whatsam_core.storage.cluster import Changed, Cluster, Removed, Snapshot

pytestmark = pytest.mark.cluster

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
async def mine(kubeconfig: Path, workers: Workers) -> AsyncIterator[Cluster]:
    """The API server as the pod that holds sessions sees it."""
    async with as_token(kubeconfig, workers.holder_token) as cluster:
        yield cluster


def record(workers: Workers, boot: str) -> LeaseRecord:
    return LeaseRecord(
        name=lease_name("connector-leases", boot),
        namespace=workers.namespace,
        pool="connector-leases",
        pod_name=workers.holder["metadata"]["name"],
        pod_uid=workers.holder["metadata"]["uid"],
        boot_id=boot,
        endpoint="http://10.0.0.1:8080",
        state=LeaseState.ACTIVE,
        acquired_at=NOW,
        renewed_at=NOW,
        duration_seconds=15,
    )


async def test_a_lease_is_created_renewed_and_lost_to_a_revocation(
    mine: Cluster, kubectl: Kubectl, workers: Workers
) -> None:
    # A genuine owner: the garbage collector deletes what belongs to nobody.
    kubectl.apply(pool("connector-leases", workers.namespace, replicas=0))
    owner = kubectl.get("workerpool", "connector-leases", "-n", workers.namespace)["metadata"]["uid"]
    leases = ClusterLeases(mine, workers.namespace, owner)
    first = record(workers, "bootlease1")
    answer, created = await leases.create(first, timeout=5)
    assert answer is Answer.ACCEPTED
    assert created is not None
    assert replace(created, resource_version="", uid="") == first
    assert (await leases.create(first, timeout=5))[0] is Answer.CONFLICT
    renewal = created.renewed(datetime.now(UTC), sessions=3)
    answer, renewed = await leases.update(renewal, timeout=5)
    assert answer is Answer.ACCEPTED
    assert renewed is not None
    assert renewed.sessions == 3
    assert (await leases.update(renewal, timeout=5))[0] is Answer.CONFLICT
    read, found = await leases.read(first.name, timeout=5)
    assert read is Answer.ACCEPTED
    assert judge_read_back(found, [Attempt(renewal, 1.0)]) == (Verdict.RENEWED, Attempt(renewal, 1.0))
    revoked = f'{{"metadata":{{"annotations":{{"{names.LEASE_STATE}":"{LeaseState.REVOKED.value}"}}}}}}'
    kubectl("patch", "lease", first.name, "-n", workers.namespace, "--type=merge", "-p", revoked)
    assert (await leases.update(renewed, timeout=5))[0] is Answer.CONFLICT
    read, found = await leases.read(first.name, timeout=5)
    assert judge_read_back(found, [Attempt(renewed, 1.0)]) == (Verdict.REVOKED, None)
    kubectl("delete", "lease", first.name, "-n", workers.namespace)
    # The uid that we name is gone: a conflict for the API server; reading it back tells that there is nothing.
    assert (await leases.update(renewed, timeout=5))[0] in (Answer.CONFLICT, Answer.MISSING)
    assert (await leases.read(first.name, timeout=5)) == (Answer.MISSING, None)
    assert judge_read_back(None, [Attempt(renewed, 1.0)]) == (Verdict.REVOKED, None)


async def test_the_watch_shows_what_is_assigned_to_this_pod_and_no_more(
    mine: Cluster, kubectl: Kubectl, workers: Workers
) -> None:
    pod = workers.holder
    sessions = ClusterSessions(mine, workers.namespace)
    me = Me(pod["metadata"]["uid"], "bootwatch1")
    async with aclosing(sessions.of_worker(pod["metadata"]["name"])) as events, asyncio.timeout(30):
        first = await anext(events)
        assert isinstance(first, Snapshot)
        kubectl.apply(session("connector-watched", workers.namespace))
        _assign(kubectl, workers.namespace, "connector-watched", assignment(pod, "bootwatch1"))
        shown = await _next_of(events, Changed, "connector-watched")
        assert is_ours(WhatsAppSession.from_wire(shown.object), me)
        _assign(kubectl, workers.namespace, "connector-watched", None)
        await _next_of(events, Removed, "connector-watched")


async def test_status_is_written_whole_over_a_foreign_write_and_ends_with_the_assignment(
    mine: Cluster, kubectl: Kubectl, workers: Workers
) -> None:
    pod, name = workers.holder, "connector-written"
    kubectl.apply(session(name, workers.namespace))
    _assign(kubectl, workers.namespace, name, assignment(pod, "bootwrite1"))
    sessions = ClusterSessions(mine, workers.namespace)
    lost = asyncio.Event()
    holder = Holder(pod["metadata"]["uid"], "bootwrite1", 1)
    writer = StatusWriter(sessions, await sessions.read(name), holder, SystemClock(), lost.set)
    writing = asyncio.create_task(writer.run())
    try:
        async with asyncio.timeout(30):
            pairing = SessionState(epoch=1, stage=Stage.PAIRING, code=ShownCode("2@secret", None, NOW))
            writer.publish(report(pairing))
            await writer.settled()
            shown = (await sessions.read(name)).status
            assert shown.pairing is not None
            assert shown.pairing.code == "2@secret"
            # The operator writes without us seeing it: the next write meets a conflict, reads, and holds.
            kubectl.patch_status(name, workers.namespace, {"migrations": 4})
            writer.replicated(ReplicationView(7, NOW))
            writer.publish(report(SessionState(epoch=1, stage=Stage.CONNECTED, secured=True, promised=True)))
            await writer.settled()
            shown = (await sessions.read(name)).status
            assert (shown.phase, shown.migrations, shown.pairing) == ("Connected", 4, None)
            assert shown.replication is not None
            assert shown.replication.seq == 7
            _assign(kubectl, workers.namespace, name, assignment(pod, "bootwrite2"), epoch=2)
            writer.publish(report(pairing))
            await lost.wait()
            assert (await sessions.read(name)).status.phase == "Connected"
    finally:
        writing.cancel()


async def test_callers_tokens_are_checked_with_the_clusters_own_keys(
    mine: Cluster, kubectl: Kubectl, workers: Workers
) -> None:
    path = f"/api/v1/namespaces/{workers.namespace}/serviceaccounts/default/token"
    request = '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["%s"]}}'
    token = _token(kubectl, path, request % names.CONNECTOR_AUDIENCE)
    subject = f"system:serviceaccount:{workers.namespace}:default"
    checker = TokenChecker(mine, subject=subject, monotonic=SystemClock().monotonic)
    await checker.check(f"Bearer {token}")


def _token(kubectl: Kubectl, path: str, request: str) -> str:
    return str(json.loads(kubectl("create", "--raw", path, "-f", "-", stdin=request))["status"]["token"])


def _assign(kubectl: Kubectl, namespace: str, name: str, value: dict[str, Any] | None, *, epoch: int = 1) -> None:
    said = kubectl.patch_status(name, namespace, {"epoch": epoch, "assignment": value})
    assert "patched" in said, said


async def _next_of(events: Any, kind: type, name: str) -> Any:
    async for event in events:
        if isinstance(event, kind) and event.object["metadata"]["name"] == name:
            return event
    raise AssertionError("the watch ended")
