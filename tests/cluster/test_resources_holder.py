"""Only the holder's pod writes a session's status, and only who may assign says who the holder is. With real tokens."""

import copy
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from resources_kit import Json, Kubectl, Workers, as_token, assignment, session

from whatsam_core.storage.cluster import LEASES, SESSIONS, Cluster, Conflict, Forbidden

pytestmark = pytest.mark.cluster

READY: Json = {
    "type": "Connected",
    "status": "True",
    "reason": "Connected",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
NAMED_AT = "2026-01-01T00:00:00Z"
NAMED: Json = {"worker": "w", "podUID": "u", "bootId": "b", "reason": "Drain", "since": NAMED_AT}
SCHEDULED: Json = {**READY, "type": "Scheduled", "reason": "Assigned"}


@pytest.fixture
async def holder(kubeconfig: Path, workers: Workers) -> AsyncIterator[Cluster]:
    async with as_token(kubeconfig, workers.holder_token) as cluster:
        yield cluster


@pytest.fixture
async def other(kubeconfig: Path, workers: Workers) -> AsyncIterator[Cluster]:
    async with as_token(kubeconfig, workers.other_token) as cluster:
        yield cluster


@pytest.fixture
def held(kubectl: Kubectl, workers: Workers) -> str:
    """A session that the pod `holder` holds under epoch 3."""
    # A pool that does not exist: an operator that runs in this cluster has nobody else to give it to.
    name = f"held-{secrets.token_hex(4)}"
    kubectl.apply(session(name, workers.namespace, poolRef={"name": "none"}))
    said = kubectl.patch_status(
        name,
        workers.namespace,
        {"epoch": 3, "migrations": 1, "assignment": assignment(workers.holder), "conditions": [SCHEDULED]},
    )
    assert "patched" in said
    return name


@pytest.fixture
def boot() -> str:
    """A boot id of its own."""
    return f"boot{secrets.token_hex(3)}"


async def write(cluster: Cluster, workers: Workers, name: str, status: Json) -> Json:
    return await cluster.merge_patch(SESSIONS, workers.namespace, name, {"status": status}, subresource="status")


async def test_the_holder_reports(holder: Cluster, workers: Workers, held: str) -> None:
    seen = await holder.get(SESSIONS, workers.namespace, held)
    conditions = [one for one in seen["status"]["conditions"] if one["type"] != "Connected"]
    status: Json = {
        "phase": "Connected",
        "jid": "491511000001:1@s.whatsapp.net",
        "conditions": [*conditions, READY],
        "handover": {"epoch": 3, "seq": 7, "sha256": "ab"},
    }
    written = await write(holder, workers, held, status)
    assert written["status"]["phase"] == "Connected"
    written = await write(holder, workers, held, {"pairing": None, "handover": None})
    assert "handover" not in written["status"]


async def test_another_pod_of_the_same_account_may_not_report(other: Cluster, workers: Workers, held: str) -> None:
    with pytest.raises(Forbidden, match="this pod does not hold the session"):
        await write(other, workers, held, {"phase": "Error"})


async def test_nobody_reports_for_a_session_without_a_holder(
    kubectl: Kubectl, holder: Cluster, workers: Workers
) -> None:
    kubectl.apply(session("free", workers.namespace, poolRef={"name": "none"}))
    with pytest.raises(Forbidden, match="this pod does not hold the session"):
        await write(holder, workers, "free", {"phase": "Connected"})
    with pytest.raises(Forbidden, match="this pod does not hold the session"):
        await write(holder, workers, "free", {"epoch": 9, "assignment": assignment(workers.holder)})


async def test_a_token_of_the_account_that_names_no_pod_is_not_enough(
    kubectl: Kubectl, kubeconfig: Path, workers: Workers, held: str
) -> None:
    token = kubectl("create", "token", "whatsam-connector", "-n", workers.namespace).strip()
    async with as_token(kubeconfig, token) as cluster:
        with pytest.raises(Forbidden, match="this pod does not hold the session"):
            await write(cluster, workers, held, {"phase": "Error"})


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ({"epoch": 4}, "only the operator writes status.epoch"),
        ({"assignment": {"endpoint": "http://10.9.9.9:1"}}, "only the operator writes status.assignment"),
        ({"epoch": 4, "assignment": {"bootId": "bootbbbbbb"}}, "only the operator writes status.epoch"),
        ({"assignment": None}, "only the operator writes status.assignment"),
        ({"next": NAMED}, "only the operator writes status.next"),
        ({"migrations": 0}, "only the operator writes status.migrations"),
        ({"conditions": []}, "only the operator writes the condition Scheduled"),
        ({"conditions": [{**SCHEDULED, "status": "False"}]}, "only the operator writes the condition Scheduled"),
        ({"handover": {"epoch": 4, "seq": 1, "sha256": ""}}, "a holder hands over its own epoch only"),
    ],
    ids=[
        "epoch",
        "endpoint",
        "boot",
        "assignment away",
        "next",
        "migrations",
        "Scheduled away",
        "Scheduled changed",
        "foreign handover",
    ],
)
async def test_the_holder_does_not_write_what_is_the_operators(
    holder: Cluster, workers: Workers, held: str, patch: Json, says: str
) -> None:
    before = (await holder.get(SESSIONS, workers.namespace, held))["status"]
    with pytest.raises(Forbidden, match=says):
        await write(holder, workers, held, patch)
    after = (await holder.get(SESSIONS, workers.namespace, held))["status"]
    assert (after["epoch"], after["assignment"]) == (before["epoch"], before["assignment"])


async def test_the_holder_loses_its_right_with_the_assignment(
    kubectl: Kubectl, holder: Cluster, other: Cluster, workers: Workers, held: str
) -> None:
    await write(holder, workers, held, {"phase": "Connected"})
    kubectl.patch_status(held, workers.namespace, {"epoch": 4, "assignment": assignment(workers.other)})
    with pytest.raises(Forbidden, match="this pod does not hold the session"):
        await write(holder, workers, held, {"phase": "Connected"})
    await write(other, workers, held, {"phase": "Reconnecting"})


async def test_a_write_that_raced_with_a_new_assignment_is_refused(
    kubectl: Kubectl, holder: Cluster, workers: Workers, held: str
) -> None:
    seen = await holder.get(SESSIONS, workers.namespace, held)
    kubectl.patch_status(held, workers.namespace, {"epoch": 4, "assignment": assignment(workers.other)})
    stale = {"metadata": {"resourceVersion": seen["metadata"]["resourceVersion"]}, "status": {"phase": "Connected"}}
    with pytest.raises((Conflict, Forbidden)):
        await holder.merge_patch(SESSIONS, workers.namespace, held, stale, subresource="status")


async def test_a_connector_does_not_change_what_people_declared(holder: Cluster, workers: Workers, held: str) -> None:
    with pytest.raises(Forbidden):
        await holder.merge_patch(SESSIONS, workers.namespace, held, {"spec": {"desiredState": "Stopped"}})
    with pytest.raises(Forbidden):
        await holder.delete(SESSIONS, workers.namespace, held)


def lease(pod: Json, boot: str) -> Json:
    return {
        "metadata": {
            "name": f"default-{boot}",
            "labels": {"whatsam.io/pool": "default", "app.kubernetes.io/component": "connector-lease"},
            "annotations": {
                "whatsam.io/pod-uid": pod["metadata"]["uid"],
                "whatsam.io/boot-id": boot,
                "whatsam.io/lease-state": "Active",
            },
        },
        "spec": {"holderIdentity": "holder", "leaseDurationSeconds": 15},
    }


def altered(stored: Json, **annotations: str) -> Json:
    changed = copy.deepcopy(stored)
    changed["metadata"]["annotations"] |= {f"whatsam.io/{key.replace('_', '-')}": v for key, v in annotations.items()}
    changed["spec"]["holderIdentity"] = "again"
    return changed


async def test_a_connector_keeps_its_own_lease(holder: Cluster, workers: Workers, boot: str) -> None:
    stored = await holder.create(LEASES, workers.namespace, lease(workers.holder, boot))
    stored = await holder.replace(LEASES, workers.namespace, stored["metadata"]["name"], altered(stored))
    stored = await holder.replace(
        LEASES, workers.namespace, stored["metadata"]["name"], altered(stored, lease_state="Released")
    )
    assert stored["metadata"]["annotations"]["whatsam.io/lease-state"] == "Released"


async def test_a_connector_does_not_touch_the_lease_of_another_pod(
    holder: Cluster, other: Cluster, workers: Workers, boot: str
) -> None:
    with pytest.raises(Forbidden, match="belongs to another pod"):
        await other.create(LEASES, workers.namespace, lease(workers.holder, boot))
    stored = await holder.create(LEASES, workers.namespace, lease(workers.holder, boot))
    name = stored["metadata"]["name"]
    with pytest.raises(Forbidden, match="belongs to another pod"):
        await other.replace(LEASES, workers.namespace, name, altered(stored))
    taken = altered(stored, pod_uid=workers.other["metadata"]["uid"])
    with pytest.raises(Forbidden, match="belongs to another pod"):
        await other.replace(LEASES, workers.namespace, name, taken)


@pytest.mark.parametrize("state", ["Revoked", "Released"])
async def test_a_lease_that_is_over_stays_over(
    kubectl: Kubectl, holder: Cluster, workers: Workers, boot: str, state: str
) -> None:
    await holder.create(LEASES, workers.namespace, lease(workers.holder, boot))
    name = f"default-{boot}"
    kubectl("annotate", "lease", name, "-n", workers.namespace, "--overwrite", f"whatsam.io/lease-state={state}")
    stored = await holder.get(LEASES, workers.namespace, name)
    with pytest.raises(Forbidden, match="only a new boot may take a new Lease"):
        await holder.replace(LEASES, workers.namespace, name, altered(stored, lease_state="Active"))


async def test_a_lease_does_not_pass_to_another_boot(holder: Cluster, workers: Workers, boot: str) -> None:
    stored = await holder.create(LEASES, workers.namespace, lease(workers.holder, boot))
    with pytest.raises(Forbidden, match="make another Lease for another boot"):
        await holder.replace(
            LEASES, workers.namespace, stored["metadata"]["name"], altered(stored, boot_id="bootother")
        )


async def test_a_connector_cannot_hide_its_lease_nor_take_the_operators(
    kubectl: Kubectl, holder: Cluster, workers: Workers, boot: str
) -> None:
    stored = await holder.create(LEASES, workers.namespace, lease(workers.holder, boot))
    hidden = copy.deepcopy(stored)
    del hidden["metadata"]["labels"]["app.kubernetes.io/component"]
    with pytest.raises(Forbidden, match=r"connectors write connectors' Leases only|does not change the labels"):
        await holder.replace(LEASES, workers.namespace, stored["metadata"]["name"], hidden)
    leader = {"metadata": {"name": "whatsam-operator"}, "spec": {"holderIdentity": "me"}}
    with pytest.raises(Forbidden, match="connectors write connectors' Leases only"):
        await holder.create(LEASES, workers.namespace, leader)
    kubectl.apply(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            **leader,
            "metadata": {"name": "whatsam-operator", "namespace": workers.namespace},
        }
    )
    with pytest.raises(Forbidden, match="connectors write connectors' Leases only"):
        await holder.merge_patch(LEASES, workers.namespace, "whatsam-operator", {"spec": {"holderIdentity": "x"}})


def test_a_namespace_of_one_tenant_takes_no_session_of_another(kubectl: Kubectl, namespace: str) -> None:
    kubectl("label", "namespace", namespace, "whatsam.io/tenant=acme")
    said = kubectl.refusal(session("a", namespace, tenant="other"))
    assert "this namespace belongs to tenant acme" in said
    kubectl.apply(session("a", namespace, tenant="acme"))


def test_a_label_that_comes_later_does_not_block_changes(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(session("a", namespace, tenant="other"))
    kubectl("label", "namespace", namespace, "whatsam.io/tenant=acme")
    kubectl("patch", "was", "a", "-n", namespace, "--type=merge", "-p", '{"spec": {"desiredState": "Stopped"}}')


def test_nobody_but_the_operator_cuts_the_clean_up_short(kubectl: Kubectl, workers: Workers) -> None:
    namespace = workers.namespace
    kubectl.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "editor", "namespace": namespace},
            "rules": [{"apiGroups": ["whatsam.io"], "resources": ["whatsappsessions"], "verbs": ["get", "patch"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "editor", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "editor"},
            "subjects": [{"kind": "User", "name": "ed", "apiGroup": "rbac.authorization.k8s.io"}],
        },
    )
    held = session("a", namespace, poolRef={"name": "none"})
    # A finalizer of our own keeps the object for the length of the test even where an operator does its work; the
    # operator's own is put back after that.
    held["metadata"]["finalizers"] = ["test.whatsam.io/hold", "whatsam.io/operator"]
    kubectl.apply(held)
    merge = ("patch", "was", "a", "-n", namespace, "--type=merge", "-p")
    drop = '{"metadata": {"finalizers": ["test.whatsam.io/hold"]}}'
    kubectl("delete", "was", "a", "-n", namespace, "--wait=false")
    try:
        said = kubectl(*merge, drop, "--as=ed", check=False)
        if "whatsam.io/operator" in kubectl.get("was", "a", "-n", namespace)["metadata"]["finalizers"]:
            assert "only the operator removes the finalizer" in said
        assert "patched" in kubectl(*merge, drop, check=False)
    finally:
        kubectl(*merge, '{"metadata": {"finalizers": null}}', check=False)


# --- the successor ----------------------------------------------------------------------------------------------------


@pytest.fixture
def moving(kubectl: Kubectl, workers: Workers, held: str) -> str:
    """The session that `holder` holds, with `other` named as its successor."""
    boot = {name: value for name, value in assignment(workers.other).items() if name in ("worker", "podUID", "bootId")}
    kubectl.patch_status(held, workers.namespace, {"next": {**boot, "reason": "Drain", "since": NAMED_AT}})
    return held


async def test_a_successor_says_that_it_is_prepared(other: Cluster, workers: Workers, moving: str) -> None:
    written = await write(other, workers, moving, {"next": {"preparedAt": NAMED_AT}})
    assert written["status"]["next"]["preparedAt"] == NAMED_AT
    written = await write(other, workers, moving, {"next": {"preparedAt": None}})
    assert "preparedAt" not in written["status"]["next"]


@pytest.mark.parametrize(
    "patch",
    [
        {"phase": "Error"},
        {"next": {"preparedAt": NAMED_AT}, "jid": "491511000002:1@s.whatsapp.net"},
        {"next": {"bootId": "bootbbbbbb"}},
        {"next": {"preparedAt": NAMED_AT, "reason": "Mine"}},
        {"next": None},
        {"handover": {"epoch": 3, "seq": 1, "sha256": ""}},
        {"epoch": 4},
        {"conditions": [{**SCHEDULED, "status": "False"}]},
        {"conditions": []},
    ],
    ids=["phase", "device", "boot", "reason", "away", "handover", "epoch", "scheduled", "conditions"],
)
async def test_a_successor_writes_nothing_else(other: Cluster, workers: Workers, moving: str, patch: Json) -> None:
    with pytest.raises(Forbidden, match=r"a successor writes status\.next\.preparedAt|only the operator"):
        await write(other, workers, moving, patch)


async def test_a_holder_does_not_speak_for_its_successor(holder: Cluster, workers: Workers, moving: str) -> None:
    with pytest.raises(Forbidden, match=r"only the operator writes status\.next"):
        await write(holder, workers, moving, {"next": {"preparedAt": NAMED_AT}})
    written = await write(holder, workers, moving, {"handover": {"epoch": 3, "seq": 7, "sha256": "ab"}})
    assert written["status"]["handover"]["seq"] == 7


async def test_who_is_not_named_may_not_say_that_it_is_prepared(other: Cluster, workers: Workers, held: str) -> None:
    with pytest.raises(Forbidden, match="this pod does not hold the session"):
        await write(other, workers, held, {"next": {**NAMED, "preparedAt": NAMED_AT}})
