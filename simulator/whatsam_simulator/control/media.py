"""Routes about files on the media host."""

from __future__ import annotations

from fastapi import APIRouter

from whatsam_simulator.control.dependencies import Service
from whatsam_simulator.control.models import MediaBehaviourRequest, Uploaded, UploadRequest

router = APIRouter(prefix="/media", tags=["media"])


@router.post("", status_code=201)
async def upload(body: UploadRequest, service: Service) -> Uploaded:
    """Encrypts a file and puts it on the media host, for messages that a test builds itself."""
    return service.upload(body)


@router.put("/behaviour", status_code=204)
async def behave(body: MediaBehaviourRequest, service: Service) -> None:
    """One file is gone, damaged, slow, or never comes."""
    service.behave(body)
