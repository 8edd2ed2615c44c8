"""`whatsam-api`: serves the REST API, or brings the schema up to date with `whatsam-api migrate`."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvicorn
from fastapi import FastAPI

from whatsam_api.app import create_app
from whatsam_api.context import build
from whatsam_api.errors import ApiError
from whatsam_api.settings import ApiSettings
from whatsam_api.storage.migrations import migrate
from whatsam_core import garbage, logging, tracing
from whatsam_core.settings import SettingsError, load, refuse
from whatsam_core.storage.cluster import Cluster

log = logging.get_logger()

RETRY = 1.0
"""Seconds between two tries to reach PostgreSQL at start."""
SHUTDOWN = 10
"""Seconds that running calls get when the process is asked to end."""


def main() -> None:
    """Entry of the console script."""
    try:
        settings = load(ApiSettings)
    except SettingsError as error:
        refuse(error)
    logging.configure("api", settings.log_level, None)
    if sys.argv[1:] == ["migrate"]:
        asyncio.run(migrate(settings.database_url.get_secret_value()))
        return
    tracing.configure("api", settings.traces_url, sample=settings.traces_sample)
    uvicorn.run(
        create_app(_lifespan(settings)),
        host="0.0.0.0",
        port=settings.port,
        loop="uvloop",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=SHUTDOWN,
        proxy_headers=False,
    )


def _lifespan(settings: ApiSettings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with await Cluster.connect(user_agent="whatsam-api") as cluster:
            context = await build(settings, cluster)
            app.state.context = context
            tasks = [
                asyncio.create_task(_prepare_database(settings, context.identity.ensure_admin)),
                asyncio.create_task(context.session_store.follow()),
                asyncio.create_task(context.cleanup.run()),
                asyncio.create_task(context.runner.run()),
                asyncio.create_task(context.upkeep.run()),
            ]
            for task in tasks:
                task.add_done_callback(_report)
            garbage.spare_what_stays()
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await context.connectors.close()
                if context.media is not None:
                    await context.media.close()
                await context.database.close()
                await context.reading.close()
                tracing.shut_down()

    return lifespan


async def _prepare_database(settings: ApiSettings, ensure_admin: Callable[[], Awaitable[None]]) -> None:
    """Schema and administrator, as soon as PostgreSQL can be reached; till then calls that need it get 503."""
    while True:
        try:
            await migrate(settings.database_url.get_secret_value())
            await ensure_admin()
        except ApiError as error:
            log.warning("database.not_ready", reason=str(error), cause=str(error.__cause__).partition("\n")[0])
            await asyncio.sleep(RETRY)
        else:
            log.info("database.ready")
            return


def _report(task: "asyncio.Task[None]") -> None:
    """A background task never ends by itself; if one does, the process is of no use and the kubelet starts another."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task.crashed", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
