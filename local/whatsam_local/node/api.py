"""The few Kubernetes API calls the node needs, on plain dictionaries. Used by the node and by its services."""

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from whatsam_local.node.errors import ApiError
from whatsam_local.node.kinds import Json

log = logging.getLogger("api")

NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
"""What a call raises when the API server cannot be reached or does not answer in time."""

_WATCH_SECONDS = 300
_WATCH_READ_SECONDS = 330.0
"""A watch that brings nothing for so long is given up: a frozen API server must not leave it hanging for ever."""
_RETRY_SECONDS = 0.5
_GONE = 410


class Api:
    """A client for one cluster, from a kubeconfig's first cluster and user."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server: str = cluster["server"].rstrip("/")
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        connector = aiohttp.TCPConnector(ssl=_tls(kubeconfig.parent, cluster, user), limit=64)
        self._http = aiohttp.ClientSession(connector=connector, headers=headers)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout: float = 15,
    ) -> Json:
        """One request; `timeout` in seconds. Raises `ApiError` when it is refused, one of NETWORK_ERRORS otherwise."""
        async with self._http.request(
            method,
            self._server + path,
            params=params,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type},
            timeout=aiohttp.ClientTimeout(total=timeout),
        ) as response:
            text = await response.text()
            try:
                answer = json.loads(text)
            except ValueError:
                answer = text
            if response.status >= 400 or not isinstance(answer, dict):
                raise ApiError(response.status, answer if isinstance(answer, dict) else text)
            return answer

    async def get(self, path: str, *, params: Mapping[str, str] | None = None, timeout: float = 15) -> Json:
        """Read an object or a list."""
        return await self.call("GET", path, params=params, timeout=timeout)

    async def post(self, path: str, body: Json, *, timeout: float = 15) -> Json:
        """Create an object."""
        return await self.call("POST", path, body, timeout=timeout)

    async def delete(self, path: str, body: Json | None = None) -> Json:
        """Delete an object."""
        return await self.call("DELETE", path, body)

    async def patch(self, path: str, body: Json, *, strategic: bool = True, timeout: float = 15) -> Json:
        """A strategic merge patch (lists of objects merge by their keys), or a plain JSON merge patch."""
        kind = "strategic-merge-patch" if strategic else "merge-patch"
        return await self.call("PATCH", path, body, content_type=f"application/{kind}+json", timeout=timeout)

    async def reflect(
        self,
        path: str,
        params: Mapping[str, str],
        on_list: Callable[[list[Json]], None],
        on_event: Callable[[str, Json], None],
    ) -> None:
        """List, then watch, for ever: `on_list` gets every item after each list, `on_event` a type and an object."""
        while True:
            try:
                listed = await self.get(path, params=params)
                on_list(listed["items"])
                version: str = listed["metadata"]["resourceVersion"]
                while True:
                    async for event in self._watch(path, params, version):
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            on_event(event["type"], event["object"])
            except ApiError as error:
                log.log(logging.INFO if error.status == _GONE else logging.WARNING, "watch %s: %s", path, error)
            except NETWORK_ERRORS as error:
                log.warning("watch %s: %r", path, error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _watch(self, path: str, params: Mapping[str, str], version: str) -> AsyncIterator[Json]:
        query = {**params, "watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query["timeoutSeconds"] = str(_WATCH_SECONDS)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_WATCH_READ_SECONDS)
        async with self._http.get(self._server + path, params=query, timeout=timeout) as response:
            if response.status != 200:
                raise ApiError(response.status, await response.text())
            rest = b""
            async for chunk in response.content.iter_any():  # not readline(): its 64 KiB limit breaks on big objects
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event: Json = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(event["object"].get("code", 500), event["object"])
                    yield event


def _tls(folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    """The client's TLS settings; relative paths count from the kubeconfig's folder, as for kubectl."""
    tls = ssl.create_default_context()
    if "certificate-authority" in cluster:
        tls.load_verify_locations(folder / cluster["certificate-authority"])
    elif "certificate-authority-data" in cluster:
        tls.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    if "client-certificate" in user:
        tls.load_cert_chain(folder / user["client-certificate"], folder / user["client-key"])
    return tls
