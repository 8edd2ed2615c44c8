"""What every route gets."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from whatsam_simulator.control.contact_service import ContactService
from whatsam_simulator.control.group_service import GroupService
from whatsam_simulator.control.service import ControlService


def _service(request: Request) -> ControlService:
    service = request.app.state.service
    if not isinstance(service, ControlService):
        raise TypeError("the application was built without a simulation")
    return service


Service = Annotated[ControlService, Depends(_service)]


def _contacts(service: Service) -> ContactService:
    return service.contacts


def _groups(service: Service) -> GroupService:
    return service.groups


Contacts = Annotated[ContactService, Depends(_contacts)]
Groups = Annotated[GroupService, Depends(_groups)]
PathNumber = Annotated[str, Path(pattern=r"^[0-9]{5,15}$", description="Phone number: digits with country code")]
