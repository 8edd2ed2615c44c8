"""kopf, embedded: its watches of pools, pods and Deployments feed the index.

It runs in a thread with an event loop of its own.

kopf ends by cancelling every task of its loop, and watches the loop's health by its own rules; in a thread of its own
it can be stopped, or break, without touching the leader election. Only event handlers are registered: kopf then writes
nothing, no annotations, no finalizers, no events. It is stopped with each term of leadership.
"""

import asyncio
import logging
import os
import random
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, cast

import kopf

from whatsam_core import names
from whatsam_core.logging import get_logger
from whatsam_core.storage.cluster import DEPLOYMENTS, LEASES, PODS, POOLS, Kind

Json = dict[str, Any]
Feed = Callable[[Kind, Json, bool], None]
"""Takes an object of a kind, and whether it was deleted. Called in the event loop that runs `Watch.run`."""

FIRST_RESTART: Final = 1.0
LAST_RESTART: Final = 15.0
"""Seconds until kopf is started again when it broke: doubled each time, with jitter."""
SETTLED: Final = 60.0
"""Seconds after which a kopf that still ran has done its part, and the next end counts as the first."""
WATCH_SECONDS: Final = 20
GRACE_SECONDS: Final = 5.0
"""The server is asked to end a watch after so many seconds, and kopf goes on where it was. One that is silent for
`GRACE_SECONDS` longer, without even the end, is dead whatever TCP says: it is opened anew. A whole number: kopf writes
it into the query as it is, and the API server refuses 20.0."""
STOP_WITHIN: Final = 10.0
"""Seconds that kopf has to end; after that its thread is left behind, disconnected."""
SELECTORS: Final = {
    PODS: f"{names.LABEL_COMPONENT}={names.COMPONENT_CONNECTOR}",
    DEPLOYMENTS: f"{names.LABEL_COMPONENT}={names.COMPONENT_CONNECTOR}",
    LEASES: f"{names.LABEL_COMPONENT}={names.COMPONENT_CONNECTOR_LEASE}",
}
"""The API server filters: a cluster's other pods and Leases never reach the operator."""
KINDS: Final = (POOLS, PODS, DEPLOYMENTS)
"""Sessions and Leases change all the time: see `follow`."""

log = get_logger(__name__)


def registry(feed: Feed) -> kopf.OperatorRegistry:
    """One handler per kind, and the way to log in."""
    handlers = kopf.OperatorRegistry()
    for kind in KINDS:
        kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=kind.plural)(_forward(kind, feed))
    kopf.on.login(registry=handlers, id="login")(_login)
    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf's settings: quick to notice, quick to retry, silent."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    # The CRDs are there: the index was filled from them before. Looking out for new ones would need rights on all CRDs.
    chosen.scanning.disabled = True
    chosen.process.ultimate_exiting_timeout = None
    chosen.networking.request_timeout = 10.0
    chosen.networking.connect_timeout = 3.0
    chosen.networking.error_backoffs = (0.2, 0.5, 1.0, 2.0, 2.0, 2.0)
    chosen.watching.server_timeout = WATCH_SECONDS
    chosen.watching.inactivity_timeout = WATCH_SECONDS + GRACE_SECONDS
    chosen.watching.connect_timeout = 3.0
    chosen.watching.reconnect_backoff = 0.1
    chosen.queueing.error_delays = (0.2, 0.5, 1.0, 2.0)
    for kind, selector in SELECTORS.items():
        chosen.watching.label_selectors[kopf_selector(kind)] = selector
    return chosen


def kopf_selector(kind: Kind) -> tuple[str, str, str]:
    """How kopf names a kind."""
    return (kind.group, kind.version, kind.plural)


class Watch:
    """kopf in a thread. `interrupted` is called when it had to be started again: events may be missing."""

    def __init__(
        self, feed: Feed, interrupted: Callable[[], None], *, chance: Callable[[], float] = random.random
    ) -> None:
        self._feed = feed
        self._interrupted = interrupted
        self._chance = chance

    async def run(self) -> None:
        """Watch until cancelled; kopf that breaks is started again."""
        logging.getLogger("kopf").setLevel(logging.WARNING)
        # Its warning that signals are not its business in this thread is no news to anybody.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        loop, ends = asyncio.get_running_loop(), 0
        while True:
            runner, began = _Runner(self._feed), loop.time()
            try:
                error = await runner.run()
            finally:
                await asyncio.shield(runner.stop())
            ends = 0 if loop.time() - began > SETTLED else ends + 1
            log.warning("kopf_ended", error=str(error))
            bound = min(LAST_RESTART, FIRST_RESTART * 2.0 ** min(ends, 8))
            await asyncio.sleep(bound * (0.5 + 0.5 * self._chance()))
            self._interrupted()


class _Runner:
    """One life of kopf."""

    def __init__(self, feed: Feed) -> None:
        self._home = asyncio.get_running_loop()
        self._feed = feed
        self._open = True
        self._ended: asyncio.Future[BaseException | None] = self._home.create_future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_flag: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name="kopf", daemon=True)

    async def run(self) -> BaseException | None:
        """Start the thread and wait for its end; the error with which kopf ended, if any."""
        self._thread.start()
        return await asyncio.shield(self._ended)

    async def stop(self) -> None:
        """Take no more events, ask kopf to end, and wait a while for it."""
        self._open = False
        if not self._thread.is_alive():
            return
        self._ready.wait(timeout=1.0)
        if self._loop is not None and self._stop_flag is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop_flag.set)
        try:
            async with asyncio.timeout(STOP_WITHIN):
                await asyncio.shield(self._ended)
        except TimeoutError:
            log.warning("kopf_does_not_stop")

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._main())
        except BaseException as caught:  # noqa: BLE001 - whatever ends kopf's thread is reported to the other side
            error = caught
        finally:
            self._ready.set()
            if not self._home.is_closed():
                self._home.call_soon_threadsafe(self._report, error)

    async def _main(self) -> None:
        self._loop, self._stop_flag = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await kopf.operator(
            registry=registry(self._hand_over),
            settings=settings(),
            clusterwide=True,
            standalone=True,
            stop_flag=self._stop_flag,
        )

    def _hand_over(self, kind: Kind, body: Json, removed: bool) -> None:
        if self._open and not self._home.is_closed():
            self._home.call_soon_threadsafe(self._deliver, kind, body, removed)

    def _deliver(self, kind: Kind, body: Json, removed: bool) -> None:
        if self._open:
            self._feed(kind, body, removed)

    def _report(self, error: BaseException | None) -> None:
        if not self._ended.done():
            self._ended.set_result(error)


def _forward(kind: Kind, feed: Feed) -> Callable[..., Awaitable[None]]:
    async def handler(event: kopf.RawEvent, **_: Any) -> None:
        feed(kind, cast("Json", event["object"]), event["type"] == "DELETED")

    return handler


def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """The pod's service account, else the kubeconfig; as the operator's other client does."""
    account = kopf.login_with_service_account(**kwargs)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if account is not None and host:
        # By address, not by name: an operator must find its API server while the cluster's DNS is down.
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        return replace(account, server=server)
    return account or kopf.login_with_kubeconfig(**kwargs)
