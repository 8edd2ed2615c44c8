"""The node's conversation with the API server, also when that server is away, slow or of another opinion."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from node_fake_api import Call, FakeApi, serving

from whatsam_local.node import publisher as publisher_module
from whatsam_local.node import registration as registration_module
from whatsam_local.node.events import EventRecorder
from whatsam_local.node.node_object import NodeFacts
from whatsam_local.node.publisher import StatusPublisher
from whatsam_local.node.registration import Registration
from whatsam_local.node.volume_files import VolumeFile
from whatsam_local.node.volumes import Volumes

POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u-1"},
    "spec": {"containers": [{"name": "c"}], "serviceAccountName": "account"},
}
FACTS = NodeFacts("n", "10.88.0.1", 10250, {"cpu": "8"}, "amd64", "6.1", "boot")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(registration_module, "_RETRY_SECONDS", 0.0)


@contextmanager
def running(*coroutines: Any) -> Iterator[None]:
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


def patches(calls: list[Call]) -> list[Call]:
    return [call for call in calls if call.method == "PATCH"]


async def test_a_status_carries_the_uid_and_is_sent_once(tmp_path: Path) -> None:
    fake = FakeApi()
    async with serving(fake, tmp_path) as api:
        publisher = StatusPublisher(api, "/api/v1/namespaces/ns/pods/p", "u-1", lambda: {"phase": "Running"})
        with running(publisher.run()):
            publisher.touch()
            assert await publisher.flush(20)
            publisher.touch()
            assert await publisher.flush(20)
    assert len(fake.calls) == 1
    assert fake.calls[0].path == "/api/v1/namespaces/ns/pods/p/status"
    assert fake.calls[0].body == {"metadata": {"uid": "u-1"}, "status": {"phase": "Running"}}


async def test_a_status_is_sent_again_when_somebody_has_overwritten_it(tmp_path: Path) -> None:
    fake = FakeApi()
    async with serving(fake, tmp_path) as api:
        publisher = StatusPublisher(api, "/p", "u-1", dict)
        with running(publisher.run()):
            publisher.touch()
            await publisher.flush(20)
            publisher.send_again()
            await publisher.flush(20)
    assert len(fake.calls) == 2


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_status_is_repeated_until_the_server_is_well(tmp_path: Path, status: int) -> None:
    answers = [(status, {"message": "later"})] * 3
    fake = FakeApi(lambda _call: answers.pop() if answers else (200, {}))
    async with serving(fake, tmp_path) as api:
        publisher = StatusPublisher(api, "/p", "u-1", lambda: {"try": len(answers)})
        with running(publisher.run()):
            publisher.touch()
            await fake.until(lambda calls: len(calls) == 4)
            assert await publisher.flush(20)
    assert fake.calls[-1].body["status"] == {"try": 0}


@pytest.mark.parametrize(
    ("status", "message"), [(404, "not found"), (409, "conflict"), (422, "metadata.uid: Invalid value: precondition")]
)
async def test_a_status_of_a_pod_that_is_no_more_is_given_up(tmp_path: Path, status: int, message: str) -> None:
    fake = FakeApi(lambda _call: (status, {"message": message}))
    async with serving(fake, tmp_path) as api:
        publisher = StatusPublisher(api, "/p", "u-1", dict)
        with running(publisher.run()):
            publisher.touch()
            assert await publisher.flush(20)
    assert len(fake.calls) == 1


async def test_a_flush_gives_up_when_the_server_is_away(tmp_path: Path) -> None:
    fake = FakeApi(lambda _call: (503, {}))
    async with serving(fake, tmp_path) as api:
        publisher = StatusPublisher(api, "/p", "u-1", dict)
        with running(publisher.run()):
            publisher.touch()
            assert not await publisher.flush(0.05)


def listed(*names: str) -> dict[str, Any]:
    return {"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": [pod(name) for name in names]}


def pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": "2"}, "text": "x" * 200_000}


async def test_a_watch_goes_on_after_an_end_and_lists_again_after_an_error(tmp_path: Path) -> None:
    fake = FakeApi(lambda _call: (200, listed("a")))
    seen: list[Any] = []

    async with serving(fake, tmp_path) as api:
        reflecting = api.reflect(
            "/api/v1/pods",
            {"fieldSelector": "x=y"},
            lambda items: seen.append(("LIST", [item["metadata"]["name"] for item in items])),
            lambda kind, obj: seen.append((kind, obj["metadata"]["name"])),
        )
        with running(reflecting):
            for kind, name in (("ADDED", "b"), ("BOOKMARK", "c"), ("DELETED", "b")):
                fake.watch_lines.put_nowait({"type": kind, "object": pod(name)})
            fake.watch_lines.put_nowait(None)
            await fake.until(lambda calls: sum("watch" in call.query for call in calls) == 2)
            fake.watch_lines.put_nowait({"type": "ERROR", "object": {"code": 410, "message": "too old"}})
            await fake.until(lambda calls: sum("watch" in call.query for call in calls) == 3)
    assert seen[:3] == [("LIST", ["a"]), ("ADDED", "b"), ("DELETED", "b")]
    assert seen.count(("LIST", ["a"])) == 2
    watches = [call for call in fake.calls if call.query.get("watch")]
    assert [watch.query["resourceVersion"] for watch in watches[:2]] == ["1", "2"]
    assert all(call.query["fieldSelector"] == "x=y" for call in fake.calls)


class Cluster:
    """A Node and a Lease, as far as the registration uses them."""

    def __init__(self) -> None:
        self.node: dict[str, Any] | None = None
        self.lease: dict[str, Any] | None = None

    def __call__(self, call: Call) -> tuple[int, Any]:
        lease = "leases" in call.path
        kept = self.lease if lease else self.node
        if call.method == "POST":
            if kept is not None:
                return 409, {"message": "exists"}
            kept = {**call.body, "metadata": {**call.body["metadata"], "uid": "node-uid"}}
        elif kept is None:
            return 404, {"message": "not found"}
        elif call.method == "PATCH":
            kept = {**kept, **{key: value for key, value in call.body.items() if key != "metadata"}}
        if lease:
            self.lease = kept
        else:
            self.node = kept
        return 200, kept

    def ready(self, status: str) -> None:
        """Be the node lifecycle controller."""
        assert self.node is not None
        self.node["status"] = {"conditions": [{"type": "Ready", "status": status}]}

    def is_ready(self) -> bool:
        conditions = (self.node or {}).get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def test_a_node_registers_renews_and_puts_itself_right(tmp_path: Path) -> None:
    cluster = Cluster()
    fake = FakeApi(cluster)
    async with serving(fake, tmp_path) as api:
        registration = Registration(api, FACTS, {"zone": "a"}, heartbeat=0.01)
        await registration.register()
        assert cluster.is_ready()
        with running(registration.keep()):
            await fake.until(lambda _calls: cluster.lease)
            cluster.ready("Unknown")
            await fake.until(lambda _calls: cluster.is_ready())
            cluster.node = None  # somebody deletes the Node
            await fake.until(lambda _calls: cluster.node is not None and cluster.is_ready())
    assert cluster.lease is not None
    assert cluster.lease["metadata"]["ownerReferences"][0]["uid"] == "node-uid"
    assert cluster.lease["spec"]["holderIdentity"] == "n"


async def test_a_node_that_exists_is_taken_over(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.node = {"metadata": {"name": "n", "uid": "old"}}
    fake = FakeApi(cluster)
    async with serving(fake, tmp_path) as api:
        await Registration(api, FACTS, {"zone": "b"}, heartbeat=1).register()
    assert cluster.is_ready()
    assert patches(fake.calls)[0].body["metadata"]["labels"]["zone"] == "b"


async def test_a_repeated_event_is_not_written_anew(tmp_path: Path) -> None:
    fake = FakeApi(lambda _call: (201, {"metadata": {"name": "p.1"}}))
    async with serving(fake, tmp_path) as api:
        events = EventRecorder(api, "n")
        for _ in range(50):
            events.record(POD, "Warning", "Unhealthy", "probe failed")
        events.record(POD, "Normal", "Started", "done")
        await fake.until(lambda calls: any(call.body.get("reason") == "Started" for call in calls))
    assert [call.body["reason"] for call in fake.calls] == ["Unhealthy", "Started"]


class Store:
    """ConfigMaps, Secrets and tokens."""

    def __init__(self) -> None:
        self.level = "info"
        self.tokens = 0

    def __call__(self, call: Call) -> tuple[int, Any]:
        if call.path.endswith("/token"):
            self.tokens += 1
            granted = {"expirationSeconds": call.body["spec"]["expirationSeconds"]}
            return 201, {"spec": granted, "status": {"token": f"token-{self.tokens}"}}
        if call.path.endswith("/configmaps/map"):
            return 200, {"data": {"LEVEL": self.level}}
        return 404, {"message": "not found"}


async def test_volumes_follow_their_objects_and_tokens_are_bound_and_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = {"serviceAccountToken": {"path": "token", "audience": "whatsam-connector", "expirationSeconds": 600}}
    volumes = [{"name": "v", "projected": {"sources": [token, {"configMap": {"name": "map"}}]}}]
    pod_object = {**POD, "spec": {**POD["spec"], "volumes": volumes}}
    store = Store()
    fake = FakeApi(store)
    clock = 1000.0
    monkeypatch.setattr("whatsam_local.node.volumes.time.time", lambda: clock)
    async with serving(fake, tmp_path) as api:
        made = Volumes(api, pod_object, tmp_path / "volumes", {})
        assert await made.sync() == 60
        file = tmp_path / "volumes/v/token"
        assert file.read_text() == "token-1"
        store.level = "debug"
        clock += 479  # 80 % of 600 s is not reached yet
        assert await made.sync() == 5
        assert (file.read_text(), (file.parent / "LEVEL").read_text()) == ("token-1", "debug")
        clock += 1
        await made.sync()
        assert file.read_text() == "token-2"
    asked = next(call.body["spec"] for call in fake.calls if call.path.endswith("/token"))
    assert asked["audiences"] == ["whatsam-connector"]
    assert asked["boundObjectRef"] == {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u-1"}
    assert made.get("ConfigMap", "map") == {"LEVEL": b"debug"}
    assert VolumeFile(b"token-2").mode == file.stat().st_mode & 0o777
