"""Events that repeat themselves share a name, others do not."""

from datetime import UTC, datetime
from typing import Any

from whatsam_core.storage.events import event_body, repeated

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ABOUT = {
    "apiVersion": "whatsam.io/v1alpha1",
    "kind": "WhatsAppSession",
    "metadata": {"name": "a", "namespace": "n", "uid": "u1"},
}


def body(about: dict[str, Any] = ABOUT, **changes: str) -> dict[str, Any]:
    said = {"reason": "Assigned", "message": "to worker-1", "component": "operator", "type": "Normal", **changes}
    return event_body(about, **said, now=NOW)


def test_it_names_the_object_and_the_time() -> None:
    made = body()
    assert made["involvedObject"] == {
        "apiVersion": "whatsam.io/v1alpha1",
        "kind": "WhatsAppSession",
        "namespace": "n",
        "name": "a",
        "uid": "u1",
    }
    assert made["metadata"]["namespace"] == "n"
    assert made["firstTimestamp"] == made["lastTimestamp"] == "2026-01-02T03:04:05Z"


def test_the_same_words_share_a_name_and_other_words_do_not() -> None:
    other_life = {**ABOUT, "metadata": {**ABOUT["metadata"], "uid": "u2"}}
    made = [
        body(),
        body(message="to worker-2"),
        body(reason="Moved"),
        body(component="api"),
        body(type="Warning"),
        body(other_life),
    ]
    assert len({one["metadata"]["name"] for one in made}) == 6
    assert body()["metadata"]["name"] == body()["metadata"]["name"]


def test_the_limits_of_the_api_server_hold() -> None:
    made = body({**ABOUT, "metadata": {"name": "x" * 253}}, message="y" * 5000)
    assert len(made["metadata"]["name"]) <= 253
    assert len(made["message"]) == 1024
    assert made["metadata"]["namespace"] == "default"


def test_a_repetition_counts() -> None:
    assert repeated({"count": 4}, NOW) == {"count": 5, "lastTimestamp": "2026-01-02T03:04:05Z"}
    assert repeated({}, NOW)["count"] == 2
