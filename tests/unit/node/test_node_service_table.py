"""Which addresses and doors Services have."""

from typing import Any

from whatsam_local.node.service_table import Door, ServiceTable


def service(name: str, address: str, ports: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "n", "name": name}, "spec": {"clusterIP": address, "ports": ports, **spec}}


def slice_of(
    name: str, endpoints: list[dict[str, Any]], ports: list[dict[str, Any]], suffix: str = "x"
) -> dict[str, Any]:
    metadata = {"namespace": "n", "name": f"{name}-{suffix}", "labels": {"kubernetes.io/service-name": name}}
    return {"metadata": metadata, "endpoints": endpoints, "ports": ports}


def endpoint(address: str, ready: bool | None = True, hostname: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"addresses": [address], "conditions": {} if ready is None else {"ready": ready}}
    return {**found, "hostname": hostname} if hostname else found


def table(*objects: dict[str, Any]) -> ServiceTable:
    made = ServiceTable()
    for obj in objects:
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        (made.services if "spec" in obj else made.slices)[key] = obj
    return made


HTTP = [{"name": "http", "port": 80}]


def test_only_ready_endpoints_count() -> None:
    made = table(
        service("web", "10.96.1.1", HTTP),
        slice_of(
            "web",
            [endpoint("10.88.1.2"), endpoint("10.88.1.3", False), endpoint("10.88.1.4", None)],
            [{"name": "http", "port": 8080}],
        ),
        slice_of("other", [endpoint("10.88.9.9")], [{"name": "http", "port": 1}]),
    )
    found = [(e.address, e.port) for e in made.endpoints(("n", "web"), "http")]
    assert found == [("10.88.1.2", 8080), ("10.88.1.4", 8080)]
    assert made.doors() == {Door("10.96.1.1", 80, ("n", "web"), "http")}


def test_a_service_without_endpoints_is_not_listened_on() -> None:
    made = table(
        service("web", "10.96.1.1", HTTP),
        slice_of("web", [endpoint("10.88.1.2", False)], [{"name": "http", "port": 80}]),
    )
    assert made.doors() == set()
    assert made.addresses() == {"10.96.1.1"}
    assert made.resolve(["web", "n"]) == ["10.96.1.1"]


def test_udp_and_headless_services_have_no_doors() -> None:
    ports = [{"name": "u", "port": 53, "protocol": "UDP"}]
    made = table(
        service("udp", "10.96.1.1", ports),
        service("headless", "None", HTTP),
        slice_of("udp", [endpoint("10.88.1.2")], [{"name": "u", "port": 53}]),
        slice_of("headless", [endpoint("10.88.1.2")], [{"name": "http", "port": 80}]),
    )
    assert made.doors() == set()


def test_the_api_server_answers_for_itself() -> None:
    made = ServiceTable()
    made.services["default", "kubernetes"] = service("kubernetes", "10.96.0.1", HTTP)
    made.slices["default", "kubernetes"] = slice_of("kubernetes", [endpoint("10.88.0.1")], HTTP)
    assert made.doors() == set()


def test_names() -> None:
    made = table(
        service("db", "None", HTTP),
        service("none", "None", HTTP),
        service("early", "None", HTTP, publishNotReadyAddresses=True),
        slice_of("db", [endpoint("10.88.1.2", hostname="db-0"), endpoint("10.88.1.3", False, "db-1")], HTTP),
        slice_of("db", [endpoint("10.88.1.2", hostname="db-0")], HTTP, suffix="second"),
        slice_of("early", [endpoint("10.88.1.5", False)], HTTP),
    )
    assert made.resolve(["db", "n"]) == ["10.88.1.2"]
    assert made.resolve(["db-0", "db", "n"]) == ["10.88.1.2"]
    assert made.resolve(["db-1", "db", "n"]) is None
    assert made.resolve(["none", "n"]) == []
    assert made.resolve(["early", "n"]) == ["10.88.1.5"]
    assert made.resolve(["db", "elsewhere"]) is None
    assert made.resolve(["n"]) is None
    assert made.resolve(["a", "b", "db", "n"]) is None
