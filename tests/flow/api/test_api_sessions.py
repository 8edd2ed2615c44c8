"""Sessions: limits under concurrency, the first key, deletion, the cache behind it all."""

import asyncio

from api_rig import Instance, Rig, eventually

from whatsam_core.names import FINALIZER_API


def _spec(tenant: str, **more: object) -> dict[str, object]:
    return {"tenant": tenant, "poolRef": {"name": "default"}, "desiredState": "Running", **more}


async def test_a_new_session_has_everything_and_a_key_that_works(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    answer = await tenant.client.post(
        "/api/v1/sessions", json={"name": " Shop ", "sessionId": "shop-1", "connect": False}
    )
    data = answer.json()["data"]
    assert (data["name"], data["sessionId"], data["status"], data["desiredState"]) == (
        "Shop", "shop-1", "init", "Stopped",
    )  # fmt: skip
    assert FINALIZER_API in rig.cluster.objects["shop-1"]["metadata"]["finalizers"]
    by_key = api.client(authorization=f"Bearer {data['apiKey']}")
    assert (await by_key.get("/api/v1/sessions/shop-1/status")).json()["data"]["messageCount"] == 0
    again = await tenant.client.post("/api/v1/sessions", json={"name": "Shop", "sessionId": "shop-1", "connect": False})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "SESSION_EXISTS")
    keys = await rig.rows("select 1 from api_keys where session = 'test/shop-1'")
    assert len(keys) == 1, "the key of the refused session went with it"


async def test_never_more_than_the_limit_however_many_ask_three_replicas_at_once(api: Instance, rig: Rig) -> None:
    others = [await rig.replica() for _ in range(2)]
    tenant = await api.register()
    await rig.raise_tier(tenant, "PRO")
    rig.cluster.apply("by-kubectl", _spec(tenant.tenant))
    rig.cluster.answer_delay["list"] = 0.03  # each decides on a count that is old by then, if nothing holds it back
    clients = [tenant.client, *(one.client(authorization=tenant.client.headers["authorization"]) for one in others)]
    answers = await asyncio.gather(
        *(clients[number % 3].post("/api/v1/sessions", json={"name": str(number)}) for number in range(12))
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201] * 4 + [403] * 8, "the one made with kubectl counts too"
    assert {one.json()["error"]["code"] for one in answers if one.status_code == 403} == {"SESSION_LIMIT_REACHED"}
    running = [one for one in rig.cluster.objects.values() if one["spec"]["tenant"] == tenant.tenant]
    assert len(running) == 5
    listed = (await tenant.client.get("/api/v1/sessions")).json()["data"]
    assert "by-kubectl" in {one["sessionId"] for one in listed["items"]}


async def test_connecting_counts_and_a_stopped_or_deleted_session_makes_room(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    first, _ = await rig.session(tenant)
    second, _ = await rig.session(tenant)
    paths = [f"/api/v1/sessions/{name}" for name in (first, second)]
    answers = await asyncio.gather(*(tenant.client.post(f"{path}/connect") for path in paths))
    assert sorted(answer.status_code for answer in answers) == [200, 403]
    winner, loser = paths if answers[0].status_code == 200 else reversed(paths)
    assert (await tenant.client.post(f"{winner}/connect")).status_code == 200, "asking twice is fine"
    assert (await tenant.client.post(f"{winner}/disconnect")).json()["data"]["desiredState"] == "Stopped"
    assert (await tenant.client.post(f"{loser}/connect")).status_code == 200
    deleted = await tenant.client.delete(loser)
    assert (deleted.status_code, deleted.json()["data"]["deleting"]) == (202, True)
    assert rig.cluster.objects[loser.rpartition("/")[2]]["spec"]["deletionPolicy"] == "Logout"
    assert (await tenant.client.post(f"{winner}/connect")).status_code == 200


async def test_connect_that_another_replica_carried_out_is_not_counted_against_itself(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.session(tenant)
    rig.cluster.watch_lags = True
    other = await rig.replica()
    same = other.client(authorization=tenant.client.headers["authorization"])
    assert (await tenant.client.post(f"/api/v1/sessions/{name}/connect")).status_code == 200
    assert (await same.post(f"/api/v1/sessions/{name}/connect")).status_code == 200


async def test_nothing_is_refused_because_a_watch_is_behind(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    unpaired, _ = await rig.session(tenant)
    assert (await tenant.client.post(f"/api/v1/sessions/{unpaired}/connect")).status_code == 200
    other = await rig.replica()
    same = other.client(authorization=tenant.client.headers["authorization"])
    rig.cluster.watch_lags = True
    rig.hold(unpaired)
    body = {"to": "491511000002", "message": "hello"}
    sent = await tenant.client.post(f"/api/v1/sessions/{unpaired}/send", json=body)
    assert sent.status_code in {200, 202}, sent.text
    made, _ = await rig.session(tenant)
    assert (await same.get(f"/api/v1/sessions/{made}")).status_code == 200


async def test_a_refusal_stays_one_while_the_cluster_is_away(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.session(tenant)
    rig.cluster.go_away()
    body = {"to": "491511000002", "message": "hello"}
    refused = await tenant.client.post(f"/api/v1/sessions/{name}/send", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "SESSION_NOT_READY")
    assert (await tenant.client.get("/api/v1/sessions/not-there")).status_code == 404


async def test_a_tenant_that_asks_without_end_does_not_use_up_the_database(rig: Rig) -> None:
    api = await rig.replica(database_pool_size=2)
    greedy, other = await api.register(), await api.register()
    lock = rig.rows("select pg_advisory_lock(hashtextextended($1, 0)), pg_sleep(1.5)", greedy.tenant)
    holding = asyncio.create_task(lock)
    asking = [
        asyncio.create_task(greedy.client.post("/api/v1/sessions", json={"name": "x", "connect": False}))
        for _ in range(6)
    ]
    assert (await other.client.get("/api/v1/users/me")).status_code == 200
    await holding
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {201}


async def test_a_relist_after_an_outage_hides_no_session_for_a_moment(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    names = [(await rig.session(tenant))[0] for _ in range(5)]
    store, missing = api.context.session_store, list[str]()
    await eventually(lambda: all(store.cached(name) for name in names), "all are known")
    rig.cluster.go_away()
    await eventually(lambda: not store.watching, "the outage is noticed")
    assert (await api.http.get("/health")).json()["clusterWatched"] is False

    async def look() -> None:
        while not store.watching:
            missing.extend(name for name in names if store.cached(name) is None)
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    rig.cluster.come_back()
    await looking
    assert missing == []
    assert (await api.http.get("/health")).json()["status"] == "ok"


async def test_the_answer_to_an_own_write_does_not_bring_a_deleted_session_back(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.session(tenant)
    store = api.context.session_store
    session = store.cached(name)
    assert session is not None
    rig.cluster.answer_delay["patch"] = 0.2
    late = asyncio.create_task(store.patch(session, {"spec": {"displayName": "Late"}}))
    await eventually(lambda: ("patch", name) in rig.cluster.writes, "the patch is written")
    rig.cluster.vanish(name)  # while the answer is under way
    await late
    await eventually(lambda: store.cached(name) is None, "it is gone")


async def test_what_the_cluster_refuses_leaves_no_key(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    rig.cluster.go_away()
    answer = await tenant.client.post("/api/v1/sessions", json={"name": "x", "sessionId": "never", "connect": False})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
    assert await rig.rows("select 1 from api_keys where session = 'test/never'") == []
