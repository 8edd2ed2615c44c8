"""Pure: which ConfigMaps and Secrets a pod names, and which files its volumes consist of.

Called by `volumes.py`, which fetches and writes. Tokens are the one kind of file that is not made here: they have to
be asked for.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from whatsam_local.node.environment import GetData, field_value, resource_value
from whatsam_local.node.errors import ConfigError
from whatsam_local.node.kinds import Json

DEFAULT_MODE = 0o644
SUPPORTED = frozenset({"emptyDir", "hostPath", "configMap", "secret", "downwardAPI", "projected"})
WRITTEN = frozenset({"configMap", "secret", "downwardAPI", "projected"})
"""Volume kinds whose files the node writes; containers see them read-only."""


@dataclass(frozen=True)
class VolumeFile:
    """One file of a volume: its bytes and its permission bits."""

    content: bytes
    mode: int = DEFAULT_MODE


def object_data(kind: str, obj: Json) -> dict[str, bytes]:
    """The data of a ConfigMap (text and binary) or of a Secret."""
    if kind == "Secret":
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    text = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    return text | {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}


def references(pod: Json) -> set[tuple[str, str]]:
    """(kind, name) of every ConfigMap and Secret that the pod names, in environments and in volumes."""
    spec = pod["spec"]
    found: set[tuple[str, str]] = set()
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        for source in container.get("envFrom", []):
            found |= _named(source, "configMapRef", "secretRef")
        for entry in container.get("env", []):
            found |= _named(entry.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef")
    for volume in spec.get("volumes", []):
        for source in sources(volume):
            found |= _named(source, "configMap", "secret")
    return found


def _named(source: Json, config_map_key: str, secret_key: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    if config_map_key in source:
        found.add(("ConfigMap", source[config_map_key]["name"]))
    if secret_key in source:
        found.add(("Secret", _secret_name(source[secret_key])))
    return found


def _secret_name(reference: Json) -> str:
    """A Secret volume says `secretName`, a projected source says `name`."""
    return reference.get("secretName") or reference["name"]


def sources(volume: Json) -> Iterable[Json]:
    """The sources a volume is made of: those of a projected volume, else the volume itself."""
    if "projected" in volume:
        return volume["projected"].get("sources") or []
    return [volume]


def default_mode(volume: Json) -> int:
    """The mode of files for which no item names one."""
    for kind in WRITTEN:
        if kind in volume:
            return volume[kind].get("defaultMode", DEFAULT_MODE)
    return DEFAULT_MODE


def source_files(
    pod: Json, source: Json, get: GetData, mode: int, allocatable: Mapping[str, str]
) -> dict[str, VolumeFile]:
    """Files {path below the volume: file} of one configMap, secret or downwardAPI source.

    Raises `ConfigError` when an object or a key is missing that the source does not call optional.
    """
    if "downwardAPI" in source:
        return {
            item["path"]: VolumeFile(_downward(pod, item, allocatable).encode(), item.get("mode", mode))
            for item in source["downwardAPI"].get("items", [])
        }
    kind = "ConfigMap" if "configMap" in source else "Secret"
    reference: Json = source["configMap"] if kind == "ConfigMap" else source["secret"]
    name = reference["name"] if kind == "ConfigMap" else _secret_name(reference)
    data = get(kind, name)
    if data is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{name}" not found')
    items: list[Json] | None = reference.get("items")
    if not items:
        return {key: VolumeFile(value, mode) for key, value in data.items()}
    files: dict[str, VolumeFile] = {}
    for item in items:
        if item["key"] in data:
            files[item["path"]] = VolumeFile(data[item["key"]], item.get("mode", mode))
        elif not reference.get("optional"):
            raise ConfigError(f'{kind.lower()} "{name}" references non-existent key {item["key"]}')
    return files


def _downward(pod: Json, item: Json, allocatable: Mapping[str, str]) -> str:
    if "fieldRef" in item:
        return field_value(pod, item["fieldRef"]["fieldPath"])
    return resource_value(pod, item["resourceFieldRef"], "", allocatable)


def unsupported(volume: Json) -> str | None:
    """A message where the volume is of a kind this node does not know, else None."""
    kinds = volume.keys() - {"name"}
    if kinds & SUPPORTED or not kinds:
        return None
    return f"volume {volume['name']}: kind {', '.join(sorted(kinds))} is not supported by the process node"
