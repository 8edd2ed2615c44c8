"""The core's cluster client against a real API server: reads, writes, refusals, and the endless watch."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from resources_kit import Json, Kubectl, session

from whatsam_core.storage.cluster import (
    EVENTS,
    SESSIONS,
    AlreadyExists,
    Changed,
    Cluster,
    Conflict,
    Invalid,
    NotFound,
    ReflectTimings,
    Removed,
    Snapshot,
)

pytestmark = pytest.mark.cluster


@pytest.fixture
async def client(kubeconfig: Path, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    async with await Cluster.connect() as connected:
        yield connected


def unscheduled(name: str, **metadata: object) -> Json:
    body = session(name, poolRef={"name": "none"})
    return {"metadata": {"name": name, **metadata}, "spec": body["spec"]}


async def test_create_read_patch_replace_delete(client: Cluster, namespace: str) -> None:
    made = await client.create(SESSIONS, namespace, unscheduled("a"))
    assert made["metadata"]["uid"]
    with pytest.raises(AlreadyExists):
        await client.create(SESSIONS, namespace, unscheduled("a"))
    patched = await client.merge_patch(SESSIONS, namespace, "a", {"spec": {"displayName": "A"}})
    assert patched["spec"]["displayName"] == "A"
    replaced = await rename(client, namespace, "a", "B")
    assert replaced["spec"]["displayName"] == "B"
    await client.delete(SESSIONS, namespace, "a", uid=made["metadata"]["uid"])
    # An operator that runs in this cluster may hold it for a moment with its finalizer.
    async with asyncio.timeout(30):
        await gone(client, namespace, "a")
    with pytest.raises(NotFound):
        await client.delete(SESSIONS, namespace, "a")


async def rename(client: Cluster, namespace: str, name: str, wanted: str) -> Json:
    """Read and replace; an operator that runs in this cluster may write in between."""
    async with asyncio.timeout(30):
        while True:
            fresh = await client.get(SESSIONS, namespace, name)
            fresh["spec"]["displayName"] = wanted
            with contextlib.suppress(Conflict):
                return await client.replace(SESSIONS, namespace, name, fresh)


async def gone(client: Cluster, namespace: str, name: str) -> None:
    async with aclosing(client.reflect(SESSIONS, namespace, field_selector=f"metadata.name={name}")) as events:
        async for event in events:
            if isinstance(event, Removed) or (isinstance(event, Snapshot) and not event.items):
                return


async def test_preconditions_are_conflicts(client: Cluster, namespace: str) -> None:
    made = await client.create(SESSIONS, namespace, unscheduled("a"))
    await client.merge_patch(SESSIONS, namespace, "a", {"spec": {"displayName": "A"}})
    stale: Json = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "spec": {"displayName": "B"}}
    with pytest.raises(Conflict):
        await client.merge_patch(SESSIONS, namespace, "a", stale)
    with pytest.raises(Conflict):
        await client.merge_patch(SESSIONS, namespace, "a", {"metadata": {"uid": "another"}, "spec": {}})
    with pytest.raises(Conflict):
        await client.delete(SESSIONS, namespace, "a", uid="another")


async def test_a_broken_rule_is_invalid_and_says_what_to_do(client: Cluster, namespace: str) -> None:
    body = unscheduled("a")
    body["spec"]["pairing"] = {"method": "Code"}
    with pytest.raises(Invalid) as caught:
        await client.create(SESSIONS, namespace, body)
    assert "set spec.pairing.phoneNumber" in caught.value.message


async def test_a_list_reads_all_pages(client: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whatsam_core.storage.cluster.PAGE", 2)
    for number in range(5):
        await client.create(SESSIONS, namespace, unscheduled(f"s{number}", labels={"odd": str(number % 2)}))
    listed = await client.list(SESSIONS, namespace)
    assert [one["metadata"]["name"] for one in listed.items] == ["s0", "s1", "s2", "s3", "s4"]
    assert {one["kind"] for one in listed.items} == {"WhatsAppSession"}
    odd = await client.list(SESSIONS, namespace, label_selector="odd=1")
    assert [one["metadata"]["name"] for one in odd.items] == ["s1", "s3"]
    none = await client.list(SESSIONS, namespace, field_selector="spec.tenant=nobody")
    assert none.items == []


async def test_a_watch_tells_changes_and_outlives_its_end(client: Cluster, namespace: str) -> None:
    await client.create(SESSIONS, namespace, unscheduled("a", labels={"watched": "yes"}))
    short = ReflectTimings(watch_seconds=1.0, grace_seconds=5.0)
    changes = client.reflect(SESSIONS, namespace, label_selector="watched=yes", timings=short)
    told: asyncio.Queue[object] = asyncio.Queue()

    async def follow() -> None:
        async with aclosing(changes) as events:
            async for event in events:
                told.put_nowait(event)

    task = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(30):
            first = await told.get()
            assert isinstance(first, Snapshot)
            assert [one["metadata"]["name"] for one in first.items] == ["a"]
            for name in ("b", "c", "d"):
                await client.create(SESSIONS, namespace, unscheduled(name, labels={"watched": "yes"}))
                while True:  # changes that a running operator makes may come in between
                    event = await told.get()
                    assert isinstance(event, Changed), "no new list: a watch that ends in peace is resumed"
                    if event.object["metadata"]["name"] == name:
                        break
            await client.merge_patch(SESSIONS, namespace, "b", {"metadata": {"labels": {"watched": None}}})
            while not isinstance(event := await told.get(), Removed):
                assert isinstance(event, Changed)
            assert event.object["metadata"]["name"] == "b"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_position_that_is_no_more_lists_again(client: Cluster, namespace: str) -> None:
    class Forgetful(Cluster):
        """Lists are true, but claim to be from the beginning of time: the first watch is refused as expired."""

        lists = 0

        async def list(self, *args: object, **kwargs: object):
            result = await super().list(*args, **kwargs)  # type: ignore[arg-type]  # passes everything on
            self.lists += 1
            return type(result)(result.items, "1") if self.lists == 1 else result

    forgetful = Forgetful(client._transport)
    seen = 0
    async with asyncio.timeout(30), aclosing(forgetful.reflect(SESSIONS, namespace)) as events:
        async for event in events:
            assert isinstance(event, Snapshot), "expired is no outage"
            seen += 1
            if seen == 2:
                break


async def test_events_are_counted_instead_of_repeated(client: Cluster, namespace: str) -> None:
    about = await client.create(SESSIONS, namespace, unscheduled("a"))
    text = f"Tried {secrets.token_hex(4)}"
    for _ in range(3):
        await client.create_event(about, reason="Tested", message=text, component="whatsam-test")
    await client.create_event(about, reason="Tested", message="Something else", component="whatsam-test")
    listed = await client.list(EVENTS, namespace, field_selector="involvedObject.name=a,reason=Tested")
    assert sorted((one["message"], one["count"]) for one in listed.items) == sorted([(text, 3), ("Something else", 1)])


async def test_the_issuers_keys_can_be_read(client: Cluster) -> None:
    assert (await client.get_raw("/openid/v1/jwks"))["keys"]
