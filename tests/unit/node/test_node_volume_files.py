"""Volumes hold exactly the files that Kubernetes would put there."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from whatsam_local.node.errors import ConfigError
from whatsam_local.node.volume_files import (
    VolumeFile,
    default_mode,
    object_data,
    references,
    source_files,
    sources,
    unsupported,
)
from whatsam_local.node.volumes import memory_volumes

POD: dict[str, Any] = {
    "metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": {"l": "v"}},
    "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}}}]},
}


def get(kind: str, name: str) -> Mapping[str, bytes] | None:
    data = {("ConfigMap", "map"): {"one": b"1", "two": b"2"}, ("Secret", "keys"): {"k": b"\xff"}}
    return data.get((kind, name))


def files(source: dict[str, Any], mode: int = 0o644) -> dict[str, VolumeFile]:
    return source_files(POD, source, get, mode, {"cpu": "8"})


def test_whole_objects() -> None:
    assert files({"configMap": {"name": "map"}}) == {"one": VolumeFile(b"1"), "two": VolumeFile(b"2")}
    assert files({"secret": {"secretName": "keys"}}, 0o400) == {"k": VolumeFile(b"\xff", 0o400)}
    assert files({"secret": {"name": "keys"}}) == {"k": VolumeFile(b"\xff")}


def test_chosen_keys_with_paths_and_modes() -> None:
    source = {"configMap": {"name": "map", "items": [{"key": "two", "path": "sub/zwei", "mode": 0o755}]}}
    assert files(source) == {"sub/zwei": VolumeFile(b"2", 0o755)}


@pytest.mark.parametrize(
    "source",
    [
        {"configMap": {"name": "absent"}},
        {"secret": {"secretName": "absent"}},
        {"configMap": {"name": "map", "items": [{"key": "three", "path": "x"}]}},
    ],
)
def test_missing_is_refused_unless_optional(source: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        files(source)
    kind = next(iter(source))
    assert files({kind: {**source[kind], "optional": True}}) == {}


def test_downward_api() -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"resource": "limits.cpu", "containerName": "c"}, "mode": 0o600},
    ]
    found = files({"downwardAPI": {"items": items}})
    assert found == {"labels": VolumeFile(b'l="v"'), "cpu": VolumeFile(b"2", 0o600)}


def test_data_of_objects_is_text_and_bytes() -> None:
    binary = base64.b64encode(b"\x00\xff").decode()
    assert object_data("ConfigMap", {"data": {"a": "ä"}, "binaryData": {"b": binary}}) == {
        "a": "ä".encode(),
        "b": b"\x00\xff",
    }
    assert object_data("Secret", {"data": {"b": binary}}) == {"b": b"\x00\xff"}
    assert object_data("ConfigMap", {}) == {}


def test_every_reference_is_found() -> None:
    pod = {
        "spec": {
            "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "s1"}}]}],
            "containers": [
                {
                    "name": "c",
                    "envFrom": [{"configMapRef": {"name": "m1"}}],
                    "env": [
                        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s2", "key": "k"}}},
                        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "m2", "key": "k"}}},
                        {"name": "C", "value": "x"},
                    ],
                }
            ],
            "volumes": [
                {"name": "v1", "configMap": {"name": "m3"}},
                {"name": "v2", "secret": {"secretName": "s3"}},
                {"name": "v3", "projected": {"sources": [{"secret": {"name": "s4"}}, {"configMap": {"name": "m4"}}]}},
                {"name": "v4", "emptyDir": {}},
            ],
        }
    }
    maps = {("ConfigMap", f"m{n}") for n in range(1, 5)}
    assert references(pod) == maps | {("Secret", f"s{n}") for n in range(1, 5)}


def test_sources_and_modes_of_volumes() -> None:
    projected = {"name": "v", "projected": {"defaultMode": 0o440, "sources": [{"secret": {"name": "a"}}]}}
    assert list(sources(projected)) == [{"secret": {"name": "a"}}]
    assert default_mode(projected) == 0o440
    plain = {"name": "v", "configMap": {"name": "a"}}
    assert list(sources(plain)) == [plain]
    assert default_mode(plain) == 0o644


def test_unknown_kinds_are_named() -> None:
    message = unsupported({"name": "v", "persistentVolumeClaim": {"claimName": "x"}})
    assert message is not None
    assert "persistentVolumeClaim" in message
    assert unsupported({"name": "v", "emptyDir": {}}) is None


def test_volumes_in_memory_and_their_sizes() -> None:
    volumes = [
        {"name": "disk", "emptyDir": {}},
        {"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "any", "emptyDir": {"medium": "Memory"}},
    ]
    found = memory_volumes({"spec": {"volumes": volumes}}, Path("/v"))
    assert found == {"/v/small": 2**20, "/v/any": None}
