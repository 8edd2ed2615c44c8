"""Rows of deleted sessions: the API's finalizer, whichever step the process dies after."""

from datetime import timedelta

import pytest
from api_rig import Instance, Rig, eventually

from whatsam_api.errors import Unavailable
from whatsam_api.services import jobs, row_cleanup
from whatsam_api.storage.api_keys import ApiKeyStore
from whatsam_api.storage.erasure import ErasureStore
from whatsam_api.storage.sessions import SessionStore
from whatsam_core.names import FINALIZER_API


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cleanup, "RETRY", 0.05)
    monkeypatch.setattr(jobs, "PAUSE", timedelta(seconds=0.05))
    monkeypatch.setattr(jobs, "LOOK", 0.05)


async def _rows(rig: Rig, name: str) -> tuple[int, int]:
    key = f"test/{name}"
    counts = []
    for table in ("messages", "api_keys"):
        counts += [row["count"] for row in await rig.rows(f"select count(*) from {table} where session = $1", key)]  # noqa: S608 - two constants
    return counts[0], counts[1]


async def _with_rows(api: Instance, rig: Rig) -> tuple[str, str]:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)
    rig.cluster.set_status(name, assignment=None)
    for text in ("one", "two"):
        body = {"to": "491511000002", "text": text}
        assert (await tenant.client.post(f"/api/v1/sessions/{name}/send", json=body)).status_code == 202
    return name, tenant.tenant


async def test_rows_end_after_the_operator_let_go_and_not_before(api: Instance, rig: Rig) -> None:
    name, _ = await _with_rows(api, rig)
    session = api.context.session_store.cached(name)
    assert session is not None
    await api.context.session_store.patch(session, {"spec": {"deletionPolicy": "Logout"}})
    await rig.cluster.delete(None, "test", name)  # pyright: ignore[reportArgumentType] - the fake has one kind
    await eventually(lambda: bool((s := api.context.session_store.cached(name)) and s.metadata.deleting), "deleting")
    assert await _rows(rig, name) == (2, 1)
    rig.cluster.operator_lets_go(name)
    await eventually(lambda: name not in rig.cluster.objects, "the finalizer is gone")
    assert await _rows(rig, name) == (0, 0)


async def test_retain_keeps_the_rows(api: Instance, rig: Rig) -> None:
    name, _ = await _with_rows(api, rig)
    await rig.cluster.delete(None, "test", name)  # pyright: ignore[reportArgumentType] - the fake has one kind
    rig.cluster.operator_lets_go(name)
    await eventually(lambda: name not in rig.cluster.objects, "the finalizer is gone")
    assert await _rows(rig, name) == (2, 1)


@pytest.mark.parametrize("dies_in", ["erasure.messages", "keys.remove_all", "patch before", "patch after"])
async def test_a_death_after_any_step_is_finished_by_the_next_round(
    api: Instance, rig: Rig, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    name, _ = await _with_rows(api, rig)
    session = api.context.session_store.cached(name)
    assert session is not None
    await api.context.session_store.patch(session, {"spec": {"deletionPolicy": "Logout"}})
    deaths = list[int]()

    if dies_in == "patch after":
        rig.cluster.crash_after = "patch"
    else:
        owner, method = {
            "erasure.messages": (ErasureStore, "messages"),
            "keys.remove_all": (ApiKeyStore, "remove_all"),
            "patch before": (SessionStore, "patch"),
        }[dies_in]
        genuine = getattr(owner, method)

        async def dying(*arguments: object, **more: object) -> object:
            if not deaths:
                if dies_in != "patch before":
                    await genuine(*arguments, **more)
                deaths.append(1)
                raise Unavailable("as if killed")
            return await genuine(*arguments, **more)

        monkeypatch.setattr(owner, method, dying)
    await rig.cluster.delete(None, "test", name)  # pyright: ignore[reportArgumentType] - the fake has one kind
    rig.cluster.operator_lets_go(name)
    await eventually(lambda: name not in rig.cluster.objects, "the finalizer is gone")
    # The fake lets the object go before it lets its caller hear nothing.
    await eventually(lambda: bool(deaths) or rig.cluster.crash_after is None, "something died")
    assert await _rows(rig, name) == (0, 0)


async def test_sessions_made_with_kubectl_get_the_finalizer_only_for_known_tenants(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    rig.cluster.apply("unknown-tenants", {"tenant": "t-nobody"})
    rig.cluster.apply("known-tenants", {"tenant": tenant.tenant})
    await eventually(
        lambda: FINALIZER_API in rig.cluster.objects["known-tenants"]["metadata"]["finalizers"],
        "it is there",
    )
    assert FINALIZER_API not in rig.cluster.objects["unknown-tenants"]["metadata"]["finalizers"]


async def test_two_replicas_clean_up_side_by_side(api: Instance, rig: Rig) -> None:
    await rig.replica()
    name, _ = await _with_rows(api, rig)
    session = api.context.session_store.cached(name)
    assert session is not None
    await api.context.session_store.patch(session, {"spec": {"deletionPolicy": "Logout"}})
    await rig.cluster.delete(None, "test", name)  # pyright: ignore[reportArgumentType] - the fake has one kind
    rig.cluster.operator_lets_go(name)
    await eventually(lambda: name not in rig.cluster.objects, "the finalizer is gone")
    assert await _rows(rig, name) == (0, 0)
