"""Routes that switch faults on and off."""

from __future__ import annotations

from fastapi import APIRouter

from whatsam_simulator.control.dependencies import Service
from whatsam_simulator.control.models import Count
from whatsam_simulator.faults import Faults

router = APIRouter(tags=["faults"])


@router.get("/faults")
async def get_faults(service: Service) -> Faults:
    """What is switched on; counts show what is left."""
    return service.faults


@router.put("/faults")
async def put_faults(body: Faults, service: Service) -> Faults:
    """Replaces all faults."""
    service.set_faults(body)
    return service.faults


@router.delete("/faults")
async def delete_faults(service: Service) -> Faults:
    """Switches everything off."""
    service.set_faults(Faults())
    return service.faults


@router.post("/pairing/cut")
async def cut_pairing(service: Service) -> Count:
    """Ends the connections of all clients that wait for a scan."""
    return Count(count=service.cut_pairing())
