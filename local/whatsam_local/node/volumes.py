"""A pod's volumes on disk: fetched, written and kept fresh. Each is a directory that containers get bind-mounted."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from whatsam_local.node.api import Api
from whatsam_local.node.atomic_files import write_atomically
from whatsam_local.node.errors import ApiError, ConfigError
from whatsam_local.node.kinds import Json
from whatsam_local.node.protocol import VolumeMount
from whatsam_local.node.quantity import parse_quantity
from whatsam_local.node.volume_files import (
    WRITTEN,
    VolumeFile,
    default_mode,
    object_data,
    references,
    source_files,
    sources,
    unsupported,
)

_REFRESH_SECONDS = 60.0
"""A changed ConfigMap or Secret is seen by running containers within this time, as with kubelet."""
_SHORTEST_REFRESH = 5.0
_RENEW_AFTER = 0.8
"""The part of a token's life after which it is renewed (kubelet's value)."""
_DEFAULT_TOKEN_SECONDS = 3600
_NOT_FOUND = 404
_EMPTY_DIR_MODE = 0o777


@dataclass(frozen=True)
class Token:
    """A service account token; `renew_at` is a Unix time."""

    text: str
    renew_at: float


def memory_volumes(pod: Json, directory: Path) -> dict[str, int | None]:
    """Pure: {directory: size in bytes} of the pod's emptyDir volumes that are to be in memory."""
    found: dict[str, int | None] = {}
    for volume in pod["spec"].get("volumes", []):
        empty = volume.get("emptyDir") or {}
        if empty.get("medium") == "Memory":
            size = empty.get("sizeLimit")
            found[str(directory / volume["name"])] = int(parse_quantity(size)) if size else None
    return found


class Volumes:
    """The volumes of one pod. `pod` is exchanged by its owner whenever the object changes."""

    def __init__(self, api: Api, pod: Json, directory: Path, allocatable: Mapping[str, str]) -> None:
        self.pod = pod
        self.directory = directory
        self._api = api
        self._allocatable = allocatable
        self._tokens: dict[tuple[str, str], Token] = {}
        self._objects: dict[tuple[str, str], dict[str, bytes] | None] = {}

    def get(self, kind: str, name: str) -> Mapping[str, bytes] | None:
        """Data of a ConfigMap or Secret as last fetched, or None where there was none."""
        return self._objects.get((kind, name))

    async def fetch(self) -> None:
        """Read the ConfigMaps and Secrets that the pod names."""
        await asyncio.gather(*(self._fetch_one(kind, name) for kind, name in references(self.pod)))

    async def _fetch_one(self, kind: str, name: str) -> None:
        namespace = self.pod["metadata"]["namespace"]
        try:
            obj = await self._api.get(f"/api/v1/namespaces/{namespace}/{kind.lower()}s/{name}")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            self._objects[kind, name] = None
        else:
            self._objects[kind, name] = object_data(kind, obj)

    async def sync(self) -> float:
        """Write everything that has changed; returns the seconds until this should be done again.

        Raises `ConfigError`, `ApiError` or one of NETWORK_ERRORS when a volume cannot be made now.
        """
        await self.fetch()
        for volume in self.pod["spec"].get("volumes", []):
            if message := unsupported(volume):
                raise ConfigError(message)
            if "hostPath" in volume:
                continue
            directory = self.directory / volume["name"]
            if not directory.exists():
                directory.mkdir(parents=True)
                directory.chmod(_EMPTY_DIR_MODE)
            if volume.keys() & WRITTEN:
                write_atomically(directory, await self._files(volume))
        soonest = min((token.renew_at - time.time() for token in self._tokens.values()), default=_REFRESH_SECONDS)
        return max(_SHORTEST_REFRESH, min(_REFRESH_SECONDS, soonest))

    async def _files(self, volume: Json) -> dict[str, VolumeFile]:
        mode = default_mode(volume)
        files: dict[str, VolumeFile] = {}
        for source in sources(volume):
            if "serviceAccountToken" in source:
                reference = source["serviceAccountToken"]
                files[reference["path"]] = VolumeFile((await self._token(reference)).encode(), mode)
            else:
                files |= source_files(self.pod, source, self.get, mode, self._allocatable)
        return files

    async def _token(self, reference: Json) -> str:
        """A token bound to this pod: the API server refuses it once the pod is gone."""
        key = (reference.get("audience", ""), reference["path"])
        token = self._tokens.get(key)
        if token is None or time.time() >= token.renew_at:
            metadata = self.pod["metadata"]
            account = self.pod["spec"].get("serviceAccountName") or "default"
            asked = time.time()
            bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
            answer = await self._api.post(
                f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token",
                {
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "TokenRequest",
                    "spec": {
                        "audiences": [key[0]] if key[0] else [],
                        "expirationSeconds": reference.get("expirationSeconds", _DEFAULT_TOKEN_SECONDS),
                        "boundObjectRef": bound,
                    },
                },
            )
            # the API server may grant less than was asked for
            granted: float = answer["spec"]["expirationSeconds"]
            token = self._tokens[key] = Token(answer["status"]["token"], asked + _RENEW_AFTER * granted)
        return token.text

    def mounts(self, container: Json) -> list[VolumeMount]:
        """The bind mounts of one container."""
        volumes = {volume["name"]: volume for volume in self.pod["spec"].get("volumes", [])}
        mounts: list[VolumeMount] = []
        for mount in container.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            host: Json | None = volume.get("hostPath")
            source = Path(host["path"]) if host else self.directory / mount["name"]
            sub_path: str = mount.get("subPath", "")
            mounts.append(
                VolumeMount(
                    source=str(source),
                    sub_path=sub_path,
                    destination=mount["mountPath"],
                    read_only=bool(mount.get("readOnly")) or bool(volume.keys() & WRITTEN),
                    directory=not (source / sub_path).is_file(),
                )
            )
        return mounts
