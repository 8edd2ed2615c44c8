"""Routes that play a contact: somebody who writes to clients and reads what they write."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from whatsam_simulator.control.contact_models import (
    BatchRequest,
    Contact,
    ContactRequest,
    Events,
    Inbox,
    MessageRequest,
    PresenceRequest,
    ProfileRequest,
    ProfileView,
    ReadRequest,
    Receipts,
    TypingRequest,
)
from whatsam_simulator.control.dependencies import Contacts, PathNumber, Service
from whatsam_simulator.control.models import CallChangeRequest, CallId, CallRequest, MessageId, MessageIds

router = APIRouter(prefix="/contacts", tags=["contacts"])
After = Annotated[int, Query(ge=0, description="Only entries with a greater sequence")]


@router.get("")
async def list_contacts(contacts: Contacts) -> list[Contact]:
    """All phones and contacts."""
    return contacts.all()


@router.post("/{number}")
async def ensure_contact(
    number: PathNumber, contacts: Contacts, response: Response, body: ContactRequest | None = None
) -> Contact:
    """Makes sure that the contact exists: 201 when it is new, 200 otherwise."""
    contact, new = contacts.ensure(number, body.name if body else None)
    response.status_code = 201 if new else 200
    return contact


@router.post("/messages/batch")
async def send_batch(body: BatchRequest, contacts: Contacts) -> MessageIds:
    """Many messages in one request, in order; for load tests. All numbers are checked before the first is sent."""
    return MessageIds(ids=await contacts.send_batch(body.messages))


@router.get("/{number}")
async def get_contact(number: PathNumber, contacts: Contacts) -> Contact:
    """One phone or contact."""
    return contacts.one(number)


@router.get("/{number}/profile")
async def get_profile(number: PathNumber, contacts: Contacts) -> ProfileView:
    """Name, about text, picture, privacy, blocked numbers: also of a linked account, to see what its client has set."""
    return contacts.profile(number)


@router.patch("/{number}/profile")
async def change_profile(number: PathNumber, body: ProfileRequest, contacts: Contacts) -> ProfileView:
    """Changes what the person shows; whoever knows it is told."""
    return contacts.change_profile(number, body)


@router.post("/{number}/messages")
async def send(number: PathNumber, body: MessageRequest, contacts: Contacts) -> MessageId:
    """Writes to a number or a group. Devices that are offline get it when they come back."""
    return MessageId(id=contacts.send(number, body))


@router.get("/{number}/inbox")
async def inbox(number: PathNumber, contacts: Contacts, after: After = 0) -> Inbox:
    """What has arrived, readable or not; a phone's inbox also holds copies of what its companions sent."""
    return Inbox(messages=[message for message in contacts.inbox(number).messages if message.sequence > after])


@router.get("/{number}/receipts")
async def receipts(number: PathNumber, contacts: Contacts, after: After = 0) -> Receipts:
    """Receipts for what the contact has sent."""
    return Receipts(receipts=[receipt for receipt in contacts.inbox(number).receipts if receipt.sequence > after])


@router.get("/{number}/events")
async def events(number: PathNumber, contacts: Contacts, after: After = 0) -> Events:
    """Typing, group changes, calls and pictures, as the person has seen them."""
    return Events(events=[event for event in contacts.inbox(number).events if event.sequence > after])


@router.post("/{number}/read", status_code=204)
async def read(number: PathNumber, body: ReadRequest, contacts: Contacts) -> None:
    """Opens (and plays) a message: its sender gets a read (and a played) receipt."""
    contacts.mark_read(number, body.id, played=body.played, on_companion=body.on_companion)


@router.post("/{number}/typing", status_code=204)
async def typing(number: PathNumber, body: TypingRequest, contacts: Contacts) -> None:
    """Types or records; only devices that are online learn of it."""
    contacts.type(number, body)


@router.put("/{number}/presence", status_code=204)
async def presence(number: PathNumber, body: PresenceRequest, contacts: Contacts) -> None:
    """Comes online or leaves; devices that have subscribed learn of it."""
    contacts.set_presence(number, available=body.available, last_seen=body.last_seen)


@router.post("/{number}/calls")
async def call(number: PathNumber, body: CallRequest, service: Service) -> CallId:
    """Rings a linked account."""
    return CallId(id=service.call(number, body))


@router.post("/{number}/calls/{call_id}", status_code=204)
async def change_call(number: PathNumber, call_id: str, body: CallChangeRequest, service: Service) -> None:
    """Gives up, picks up … What the other side answers is among the caller's events."""
    service.change_call(number, call_id, body)


@router.get("/{number}/media/{message_id}", response_class=Response)
async def media(number: PathNumber, message_id: str, contacts: Contacts) -> Response:
    """The bytes of a file that came with a message."""
    media_type, body = contacts.media(number, message_id)
    return Response(body, media_type=media_type)
