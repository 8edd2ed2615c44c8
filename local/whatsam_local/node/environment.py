"""Pure: from a pod's spec, and the ConfigMaps and Secrets it names, to a container's argv and environment.

Called by `container_worker.py` right before a container starts. Nothing here reads a file, a clock or the API.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whatsam_local.node.errors import ConfigError
from whatsam_local.node.kinds import Json
from whatsam_local.node.quantity import divided

GetData = Callable[[str, str], Mapping[str, bytes] | None]
"""(kind, name) -> data of a ConfigMap or Secret of the pod's namespace, or None where it does not exist."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_MAP_FIELD = re.compile(r"metadata\.(labels|annotations)(?:\['(.+)'\])?")


@dataclass(frozen=True)
class Image:
    """What a container image would bring: an entry of the image table."""

    entrypoint: list[str] = field(default_factory=list[str])
    cmd: list[str] = field(default_factory=list[str])
    env: dict[str, str] = field(default_factory=dict[str, str])
    cwd: str = ""


def find_image(table: Mapping[str, Image], name: str) -> Image | None:
    """The entry of an image: by its exact name, then without tag or digest, then by its last path part."""
    bare = re.sub(r"(@.*|:[^/:]*)$", "", name)
    for key in (name, bare, bare.rsplit("/", 1)[-1]):
        if key in table:
            return table[key]
    return None


def field_value(pod: Json, path: str) -> str:
    """The value of a downward API `fieldRef`. `pod` must carry its addresses in `status` already."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    if match := _MAP_FIELD.fullmatch(path):
        values: dict[str, str] = metadata.get(match[1]) or {}
        if match[2]:
            return values.get(match[2], "")
        return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(values.items()))
    known: dict[str, Any] = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName"),
        "spec.serviceAccountName": spec.get("serviceAccountName"),
        "status.hostIP": status.get("hostIP"),
        "status.hostIPs": status.get("hostIP"),
        "status.podIP": status.get("podIP"),
        "status.podIPs": status.get("podIP"),
    }
    if path not in known:
        raise ConfigError(f"fieldRef {path} is not supported by the process node")
    return known[path] or ""


def resource_value(pod: Json, reference: Json, container: str, allocatable: Mapping[str, str]) -> str:
    """The value of a `resourceFieldRef`. No limit means all that the node can give; no request means zero."""
    name = reference.get("containerName") or container
    containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    resources: Json = next((c.get("resources", {}) for c in containers if c["name"] == name), {})
    kind, _, resource = str(reference["resource"]).partition(".")
    value = resources.get(kind, {}).get(resource)
    if value is None:
        value = allocatable.get(resource, "0") if kind == "limits" else "0"
    return str(divided(value, reference.get("divisor") or 1))


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` becomes the value of a known name, `$$` becomes `$`, and anything else stays as it is."""
    return _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else values.get(m[1], m[0]), text)


def as_text(value: bytes) -> str:
    """A value as an environment variable holds it; bytes that are no UTF-8 survive the way to `execve`."""
    return value.decode(errors="surrogateescape")


def container_environment(
    pod: Json, container: Json, get: GetData, base: Mapping[str, str], allocatable: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment: `base`, then `envFrom`, then `env`. Later entries win and may use earlier ones.

    Raises `ConfigError` when something the spec calls for, and does not call optional, is not there.
    """
    environment = dict(base)
    for source in container.get("envFrom", []):
        kind, reference = _source_of(source)
        data = get(kind, reference["name"])
        if data is None and not reference.get("optional"):
            raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
        prefix: str = source.get("prefix", "")
        environment.update({prefix + key: as_text(value) for key, value in (data or {}).items()})
    for entry in container.get("env", []):
        value = _entry_value(pod, container, entry, get, environment, allocatable)
        if value is not None:
            environment[entry["name"]] = value
    return environment


def _source_of(source: Json) -> tuple[str, Json]:
    if "configMapRef" in source:
        return "ConfigMap", source["configMapRef"]
    return "Secret", source["secretRef"]


def _entry_value(  # noqa: PLR0917 - private, and each argument has a type of its own
    pod: Json, container: Json, entry: Json, get: GetData, known: Mapping[str, str], allocatable: Mapping[str, str]
) -> str | None:
    """The value of one entry of `env`, or None for an optional reference that leads nowhere."""
    source: Json | None = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value", ""), known)
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return resource_value(pod, source["resourceFieldRef"], container["name"], allocatable)
    kind, key_reference = (
        ("ConfigMap", source["configMapKeyRef"]) if "configMapKeyRef" in source else ("Secret", source["secretKeyRef"])
    )
    data = get(kind, key_reference["name"])
    if data is not None and key_reference["key"] in data:
        return as_text(data[key_reference["key"]])
    if key_reference.get("optional"):
        return None
    if data is None:
        raise ConfigError(f'{kind.lower()} "{key_reference["name"]}" not found')
    namespace = pod["metadata"]["namespace"]
    raise ConfigError(f"couldn't find key {key_reference['key']} in {kind} {namespace}/{key_reference['name']}")


def container_argv(container: Json, image: Image, environment: Mapping[str, str]) -> list[str]:
    """`command` replaces the image's entrypoint and its cmd, `args` replace its cmd."""
    command: list[str] = container.get("command") or image.entrypoint
    arguments: list[str] = container.get("args") or ([] if container.get("command") else image.cmd)
    argv = [expand(word, environment) for word in [*command, *arguments]]
    if not argv:
        raise ConfigError("neither the container nor its image names a command")
    return argv
