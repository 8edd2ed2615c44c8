"""Raw JSON over the Kubernetes client's connection: no generated models, every wait bounded.

`kubernetes.aio` gives configuration (in-cluster with token files that rotate, kubeconfig), TLS and connection pool.
Its generated models and its `Watch` are not used: they parse every object twice, and `Watch` opens a client of its
own with the default configuration and retries for ever inside one call, where nobody sees an outage. Used by `cluster`.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self, cast
from urllib.parse import urlencode
from urllib.request import getproxies_environment

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException

from whatsam_core.storage.cluster_errors import ClusterError, Unreachable, error_of

MERGE_PATCH: Final = "application/merge-patch+json"
_ACCEPT: Final = "application/json, */*;q=0.5"
"""The second half is for documents with a media type of their own, such as the issuer's keys."""
_CONNECTIONS: Final = 64
"""Watches hold one each; the rest is for calls. A bound, so that a stuck server cannot eat all file descriptors."""

Json = dict[str, Any]
"""One JSON object as the API server sent it."""


class Transport:
    """One pool of connections to one API server. Make it and close it in the event loop that uses it."""

    def __init__(self, configuration: Configuration, *, user_agent: str = "whatsam") -> None:
        configuration.connection_pool_maxsize = _CONNECTIONS
        configuration.retries = None  # type: ignore[assignment]  # callers decide what is tried again
        # Trusting the environment means reading ~/.netrc for every single request; only proxies are worth that.
        configuration.client_session_kwargs = {"trust_env": bool(getproxies_environment())}
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._user_agent = user_agent

    @classmethod
    async def connect(cls, *, user_agent: str = "whatsam") -> Self:
        """Take the pod's service account when there is one, else the file KUBECONFIG names (or kubectl's default).

        Raises `Unreachable` when neither can be read. It opens no connection.
        """
        configuration = Configuration()
        try:
            if os.environ.get("KUBERNETES_SERVICE_HOST"):
                config.load_incluster_config(configuration)
            else:
                # Named here: the client reads KUBECONFIG once, when it is imported.
                await config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=configuration)
        except (ConfigException, OSError) as error:
            raise Unreachable(f"no way to a Kubernetes API: {error}; set KUBECONFIG or run in a pod") from error
        return cls(configuration, user_agent=user_agent)

    async def close(self) -> None:
        """Close every connection; open watches end."""
        await self._client.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """One request, one JSON object back. `timeout` bounds all of it, in seconds.

        Raises the `ClusterError` that the answer stands for.
        """
        what = f"{method} {path}"
        limit = aiohttp.ClientTimeout(total=timeout)
        async with self._request(method, path, limit, query=query, body=body, content_type=content_type) as response:
            payload = await response.read()
            _raise_for_status(response, payload, what)
        try:
            return cast("Json", json.loads(payload))
        except ValueError as error:  # half an answer of a server that is going down, or a proxy's page
            raise Unreachable(f"{what}: the answer is not JSON") from error

    @asynccontextmanager
    async def stream(self, path: str, *, query: Mapping[str, str], timeout: float) -> AsyncGenerator["Lines"]:
        """Open a watch: its lines as they come. `timeout` bounds the wait for the answer's head, in seconds."""
        what = f"GET {path}?watch"
        # No bound on the whole: `Lines.next` bounds each read, because a slow consumer must not end a good watch.
        limit = aiohttp.ClientTimeout(total=None)
        async with self._request("GET", path, limit, query=query, head_timeout=timeout) as response:
            if response.status >= 400:
                async with asyncio.timeout(timeout):
                    _raise_for_status(response, await response.read(), what)
            yield Lines(response, what)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        limit: aiohttp.ClientTimeout,
        *,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        head_timeout: float | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        url = self._configuration.host + path + (f"?{urlencode(query)}" if query else "")
        response: aiohttp.ClientResponse | None = None
        what = f"{method} {path}"
        try:
            headers = {"Accept": _ACCEPT, "Content-Type": content_type, "User-Agent": self._user_agent}
            async with asyncio.timeout(head_timeout):
                settings = await self._configuration.auth_settings()  # reads the token file again when it is due
                if (bearer := settings.get("BearerToken")) and bearer["value"]:
                    headers["Authorization"] = str(bearer["value"])
                answer = await self._client.call_api(method, url, headers, body, _request_timeout=limit)
            response = cast("aiohttp.ClientResponse", answer.response)
            yield response
        except TimeoutError as error:
            raise Unreachable(f"{what}: no answer in time") from error
        except (aiohttp.ClientError, ConfigException, OSError) as error:
            # ConfigException: the token file is being replaced. Its text names the file, not the token.
            raise Unreachable(f"{what}: {type(error).__name__}: {error}") from error
        finally:
            if response is not None and response.content.at_eof():
                response.release()  # back to the pool
            elif response is not None:
                response.close()  # a watch that was left, an answer that was not awaited: nobody reads the rest


class Lines:
    """The lines of an open watch."""

    def __init__(self, response: aiohttp.ClientResponse, what: str) -> None:
        self._response = response
        self._what = what

    async def next(self, timeout: float) -> Json | None:
        """The next event, or None when the server ended the watch. Raises `Unreachable` after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                line = await self._response.content.readline()
        except TimeoutError as error:
            raise Unreachable(f"{self._what}: silent for {timeout:.0f} s") from error
        except ValueError as error:  # aiohttp: a line longer than its buffer
            raise ClusterError(f"{self._what}: an event is too long: {error}") from error
        if not line:
            return None
        try:
            return cast("Json", json.loads(line))
        except ValueError as error:  # cut in the middle of an event
            raise Unreachable(f"{self._what}: cut within an event") from error


def _raise_for_status(response: aiohttp.ClientResponse, payload: bytes, what: str) -> None:
    if response.status < 400:
        return
    seconds = response.headers.get("Retry-After", "")
    raise error_of(response.status, payload, what=what, retry_after=float(seconds) if seconds.isdigit() else None)
