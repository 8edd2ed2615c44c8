"""Routes about the simulator itself."""

from __future__ import annotations

from fastapi import APIRouter

from whatsam_simulator.control.dependencies import Service
from whatsam_simulator.control.models import Health, ServerInfo

router = APIRouter(tags=["simulator"])


@router.get("/info")
async def info(service: Service) -> ServerInfo:
    """Ports, what clients must trust, devices online, queue lengths."""
    return service.info()


@router.get("/health")
async def health() -> Health:
    """Answers as long as the simulator works."""
    return Health()
