"""A container's argv and environment follow Kubernetes' rules."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_local.node.environment import (
    Image,
    container_argv,
    container_environment,
    expand,
    field_value,
    find_image,
)
from whatsam_local.node.errors import ConfigError

POD: dict[str, Any] = {
    "metadata": {
        "name": "a",
        "namespace": "n",
        "uid": "u-1",
        "labels": {"b": 'say "hi"', "a": "1"},
        "annotations": {"x/y": "z"},
    },
    "spec": {
        "nodeName": "node",
        "serviceAccountName": "account",
        "containers": [{"name": "c", "resources": {"limits": {"memory": "200Mi"}, "requests": {"cpu": "250m"}}}],
    },
    "status": {"podIP": "10.88.1.2", "hostIP": "10.88.0.1"},
}
ALLOCATABLE = {"cpu": "8", "memory": "16Gi"}
DATA = {
    ("ConfigMap", "settings"): {"LEVEL": b"debug", "OWN": b"from map"},
    ("Secret", "keys"): {"password": b"s3cret", "binary": b"\xff\xfe"},
}


def get(kind: str, name: str) -> Mapping[str, bytes] | None:
    return DATA.get((kind, name))


def environment(container: dict[str, Any], base: dict[str, str] | None = None) -> dict[str, str]:
    return container_environment(POD, {"name": "c", **container}, get, base or {}, ALLOCATABLE)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "a"),
        ("metadata.namespace", "n"),
        ("metadata.uid", "u-1"),
        ("metadata.labels", 'a="1"\nb="say \\"hi\\""'),
        ("metadata.labels['a']", "1"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['x/y']", "z"),
        ("status.podIP", "10.88.1.2"),
        ("status.podIPs", "10.88.1.2"),
        ("status.hostIP", "10.88.0.1"),
        ("spec.nodeName", "node"),
        ("spec.serviceAccountName", "account"),
    ],
)
def test_fields_of_the_pod(path: str, value: str) -> None:
    assert field_value(POD, path) == value


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"spec\.magic"):
        field_value(POD, "spec.magic")


def test_sources_and_entries_override_in_order() -> None:
    result = environment(
        {
            "envFrom": [
                {"configMapRef": {"name": "settings"}},
                {"secretRef": {"name": "keys"}, "prefix": "K_"},
                {"configMapRef": {"name": "absent", "optional": True}},
                {"secretRef": {"name": "absent", "optional": True}},
            ],
            "env": [
                {"name": "OWN", "value": "mine"},
                {"name": "URL", "value": "http://$(K_password)@$(OWN)/$$(X)/$(UNKNOWN)"},
                {"name": "P", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
                {"name": "GONE", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "no", "optional": True}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "EMPTY"},
            ],
        },
        {"BASE": "1", "OWN": "image"},
    )
    assert result["URL"] == "http://s3cret@mine/$(X)/$(UNKNOWN)"
    assert (result["BASE"], result["OWN"], result["LEVEL"]) == ("1", "mine", "debug")
    assert (result["P"], result["IP"], result["EMPTY"]) == ("s3cret", "10.88.1.2", "")
    assert "GONE" not in result
    assert result["K_binary"].encode(errors="surrogateescape") == b"\xff\xfe"


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "absent"}}]}, 'configmap "absent" not found'),
        ({"envFrom": [{"secretRef": {"name": "absent"}}]}, 'secret "absent" not found'),
        ({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}}]}, 'secret "no" not found'),
        ({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k"}}}]}, "find key k"),
    ],
)
def test_what_is_missing_is_named(container: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        environment(container)


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.memory"}, str(200 * 2**20)),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "200"),
        ({"resource": "limits.cpu"}, "8"),
        ({"resource": "requests.cpu"}, "1"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "250"),
        ({"resource": "requests.memory"}, "0"),
        ({"resource": "limits.memory", "containerName": "c", "divisor": "0"}, str(200 * 2**20)),
    ],
)
def test_resources(reference: dict[str, str], value: str) -> None:
    result = environment({"env": [{"name": "X", "valueFrom": {"resourceFieldRef": reference}}]})
    assert result["X"] == value


@pytest.mark.parametrize(
    ("container", "argv"),
    [
        ({}, ["entry", "cmd"]),
        ({"args": ["a"]}, ["entry", "a"]),
        ({"command": ["c"]}, ["c"]),
        ({"command": ["c"], "args": ["$(V)"]}, ["c", "value"]),
    ],
)
def test_command_and_arguments(container: dict[str, Any], argv: list[str]) -> None:
    assert container_argv(container, Image(["entry"], ["cmd"]), {"V": "value"}) == argv


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(ConfigError):
        container_argv({}, Image(), {})


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("whatsam/api", "api"),
        ("whatsam/api:0.1.0", "api"),
        ("whatsam/api@sha256:00", "api"),
        ("registry:5000/team/python", "python"),
        ("registry:5000/team/python:3", "python"),
        ("exact:1", "exact one"),
        ("exact:2", "exact"),
        ("nothing", None),
    ],
)
def test_images_are_found_by_name_without_tag_and_by_last_part(name: str, found: str | None) -> None:
    table = {"whatsam/api": "api", "python": "python", "exact": "exact", "exact:1": "exact one"}
    image = find_image({key: Image([value]) for key, value in table.items()}, name)
    assert (image.entrypoint[0] if image else None) == found


names = st.text("ABCXYZ", min_size=1, max_size=3)


@given(st.text(st.characters(exclude_characters="(")))
def test_nothing_known_leaves_all_but_doubled_dollars(text: str) -> None:
    assert expand(text, {}) == text.replace("$$", "$")


@given(st.dictionaries(names, st.text("abc$(")), st.lists(names))
def test_values_are_not_expanded_again(values: dict[str, str], used: list[str]) -> None:
    text = "|".join(f"$({name})" for name in used)
    assert expand(text, values) == "|".join(values.get(name, f"$({name})") for name in used)
