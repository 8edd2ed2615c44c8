"""The FastAPI application of the control API. Routes parse and call one part of the simulation; errors become 4xx."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from whatsam_simulator.control import about, contacts, faults, groups, journal, media, newsletters, phones, proxies
from whatsam_simulator.control.service import ControlService
from whatsam_simulator.errors import RequestRefused, SimulatorError, UnknownItem, UnknownNumber

DESCRIPTION = """Plays the people behind simulated phones and contacts, injects faults, reads the journal.
Numbers are digits with country code. Unknown numbers and items: 404; a request that cannot be done now: 409; a body
that does not fit: 422."""
STATUS: dict[type[Exception], int] = {UnknownNumber: 404, UnknownItem: 404, RequestRefused: 409}


def build(service: ControlService) -> FastAPI:
    """The application for one simulation."""
    application = FastAPI(title="Whatsam WhatsApp simulator", description=DESCRIPTION, version="1")
    application.state.service = service
    for module in (about, phones, contacts, groups, media, newsletters, proxies, faults, journal):
        application.include_router(module.router)
    application.add_exception_handler(SimulatorError, _refuse)
    return application


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, STATUS.get(type(error), 400))
