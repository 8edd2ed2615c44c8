"""The short way of a send answers as FastAPI's own way to the same function does."""

from typing import Any

import httpx
from api_rig import Instance, Rig

BODY = {"to": "491511000002", "text": "hello"}
OF_THE_CALL = {"x-request-id", "date"}
COUNTED = ("ratelimit-remaining", "ratelimit-reset")


def answered(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """Everything but what differs between any two calls."""
    headers = {name: text for name, text in answer.headers.items() if name not in OF_THE_CALL}
    body = answer.json()
    body.pop("requestId", None)
    if body["success"]:
        assert body["data"].keys() >= {"messageId", "timestamp"}
        body["data"] |= {"messageId": "", "timestamp": ""}
        headers.pop("content-length")  # a time with a whole second is shorter
    return answer.status_code, headers, body


async def test_both_ways_answer_alike(rig: Rig) -> None:
    api = await rig.replica(message_limit_basic="100/hour")
    tenant, stranger = await api.register(), await api.register()
    name, _ = await rig.paired(tenant, api)
    rig.cluster.set_status(name, assignment=None)
    made = await tenant.client.post(f"/api/v1/sessions/{name}/api-keys", json={"name": "k", "scopes": ["read"]})
    reader = api.client(**{"x-api-key": made.json()["data"]["apiKey"]})
    calls = (
        (tenant, BODY, {}),
        (tenant, BODY, {"idempotency-key": "order 17"}),
        (tenant, {**BODY, "text": "another"}, {"idempotency-key": "order 17"}),
        (tenant, BODY, {"idempotency-key": "a\tb"}),
        (tenant, BODY, {"idempotency-key": ""}),
        (tenant, BODY, {"idempotency-key": "x" * 129}),
        (tenant, BODY | {"to": "12"}, {}),
        (tenant, {"to": "491511000002"}, {}),
        (tenant, BODY | {"type": "song"}, {}),
        (tenant, [], {}),
        (stranger, BODY, {}),
        (stranger, [], {"idempotency-key": ""}),
    )

    async def run(instance: Instance) -> list[tuple[int, dict[str, str], Any]]:
        path = f"/api/v1/sessions/{name}/send"
        answers = [await one.client.post(path, json=body, headers=headers) for one, body, headers in calls]
        answers += [
            await reader.post(path, json=BODY),
            await instance.http.post(path, json=BODY),
            await instance.client(authorization="Bearer x").post(path, json=BODY),
            await tenant.client.get(path),
            await tenant.client.post(f"/api/v1/sessions/no-such-{name}/send", json=BODY),
        ]
        found = [answered(answer) for answer in answers]
        await rig.rows("delete from idempotency_keys where tenant = $1", tenant.tenant)
        return found

    direct = await run(api)
    assert {status for status, _, _ in direct} == {202, 401, 403, 404, 405, 409, 422}
    assert "ratelimit-remaining" in direct[0][1]
    del api.app.router.routes[0]
    through_fastapi = await run(api)
    for one, (mine, theirs) in enumerate(zip(direct, through_fastapi, strict=True)):
        status, headers, body = theirs
        headers |= {name: mine[1][name] for name in COUNTED if name in headers}
        assert mine == (status, headers, body), f"call {one}"
