"""Routes that play a contact: somebody who writes to clients and reads what they write."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from whatsam_simulator.control.dependencies import PathNumber, Service
from whatsam_simulator.control.models import (
    BatchRequest,
    Contact,
    ContactRequest,
    Inbox,
    MessageId,
    MessageIds,
    MessageRequest,
    ReadRequest,
    Receipts,
)

router = APIRouter(prefix="/contacts", tags=["contacts"])
After = Annotated[int, Query(ge=0, description="Only entries with a greater sequence")]


@router.get("")
async def list_contacts(service: Service) -> list[Contact]:
    """All phones and contacts."""
    return service.contacts()


@router.post("/{number}")
async def ensure_contact(
    number: PathNumber, service: Service, response: Response, body: ContactRequest | None = None
) -> Contact:
    """Makes sure that the contact exists: 201 when it is new, 200 otherwise."""
    contact, new = service.ensure_contact(number, body.name if body else None)
    response.status_code = 201 if new else 200
    return contact


@router.post("/messages/batch")
async def send_batch(body: BatchRequest, service: Service) -> MessageIds:
    """Many texts in one request, in order; for load tests. All numbers are checked before the first is sent."""
    return MessageIds(ids=service.send_batch([(message.sender, message.to, message.text) for message in body.messages]))


@router.get("/{number}")
async def get_contact(number: PathNumber, service: Service) -> Contact:
    """One phone or contact."""
    return service.contact(number)


@router.post("/{number}/messages")
async def send(number: PathNumber, body: MessageRequest, service: Service) -> MessageId:
    """Writes to a number or a group. Devices that are offline get it when they come back."""
    return MessageId(id=service.send(number, body.to, body))


@router.get("/{number}/inbox")
async def inbox(number: PathNumber, service: Service, after: After = 0) -> Inbox:
    """What has arrived, readable or not; a phone's inbox also holds copies of what its companions sent."""
    return Inbox(messages=[message for message in service.inbox(number).messages if message.sequence > after])


@router.get("/{number}/receipts")
async def receipts(number: PathNumber, service: Service, after: After = 0) -> Receipts:
    """Receipts for what the contact has sent."""
    return Receipts(receipts=[receipt for receipt in service.inbox(number).receipts if receipt.sequence > after])


@router.post("/{number}/read", status_code=204)
async def read(number: PathNumber, body: ReadRequest, service: Service) -> None:
    """Opens (and plays) a message: its sender gets a read (and a played) receipt."""
    service.mark_read(number, body.id, played=body.played)


@router.get("/{number}/media/{message_id}", response_class=Response)
async def media(number: PathNumber, message_id: str, service: Service) -> Response:
    """The bytes of a file that came with a message."""
    media_type, body = service.media(number, message_id)
    return Response(body, media_type=media_type)
