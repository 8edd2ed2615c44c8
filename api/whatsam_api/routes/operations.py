"""Probes and metrics, outside of `/api/v1` and without credentials."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from whatsam_api.dependencies import Context
from whatsam_api.envelope import Wire

router = APIRouter(tags=["operations"])


class Health(Wire):
    """What the API can reach."""

    status: str
    database: bool
    sessions_synced: bool
    cluster_watched: bool
    rate_limits_shared: bool


@router.get("/live", summary="Is the process alive")
async def live() -> dict[str, str]:
    """The event loop answers."""
    return {"status": "ok"}


@router.get("/ready", summary="Does it take calls")
async def ready(response: Response, context: Context) -> dict[str, str]:
    """Whether sessions are known."""
    if not context.health.takes_calls():
        response.status_code = 503
        return {"status": "waiting for the list of sessions"}
    return {"status": "ok"}


@router.get("/health", summary="What it can reach")
async def health(context: Context) -> Health:
    """Details for people."""
    reach = await context.health.reach()
    return Health(
        status="ok" if reach.database and reach.cluster_watched else "degraded",
        database=reach.database,
        sessions_synced=reach.sessions_synced,
        cluster_watched=reach.cluster_watched,
        rate_limits_shared=reach.rate_limits_shared,
    )


@router.get("/metrics", summary="Prometheus metrics", include_in_schema=False)
async def metrics() -> Response:
    """Everything that this process counts."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
