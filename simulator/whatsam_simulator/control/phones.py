"""Routes that play the owner of a phone."""

from __future__ import annotations

from fastapi import APIRouter

from whatsam_simulator.contacts.app_state import ChatChangeRequest, RawChangeRequest
from whatsam_simulator.contacts.history import HistoryRequest
from whatsam_simulator.control.dependencies import PathNumber, Service
from whatsam_simulator.control.models import (
    Count,
    Devices,
    MessageIds,
    Mutations,
    PairedDevice,
    PairingCodeRequest,
    PasskeyRequest,
    PasskeyView,
    ScanRequest,
    StanzaRequest,
    StreamErrorRequest,
)

router = APIRouter(prefix="/phones", tags=["phones"])


@router.post("/{number}/scan")
async def scan(number: PathNumber, body: ScanRequest, service: Service) -> PairedDevice:
    """Scans the QR code that a client shows; a number that does not exist yet gets a phone."""
    return service.scan(number, body.qr)


@router.post("/{number}/pairing-code")
async def pairing_code(number: PathNumber, body: PairingCodeRequest, service: Service) -> PairedDevice:
    """Types in the pairing code that a client shows for this number, and waits for the client's answer."""
    return await service.enter_code(number, body.code)


@router.put("/{number}/passkey", status_code=204)
async def set_passkey(number: PathNumber, body: PasskeyRequest, service: Service) -> None:
    """From now on companions of this phone must present a passkey, also of a number that does not exist yet."""
    service.set_passkey(number, body)


@router.delete("/{number}/passkey", status_code=204)
async def remove_passkey(number: PathNumber, service: Service) -> None:
    """Companions are linked without a passkey again."""
    service.remove_passkey(number)


@router.get("/{number}/passkey")
async def passkey(number: PathNumber, service: Service) -> PasskeyView:
    """How far the newest linking by passkey has come."""
    return service.passkey(number)


@router.post("/{number}/unlink")
async def unlink(number: PathNumber, service: Service) -> Devices:
    """Removes all linked devices."""
    return Devices(devices=service.unlink(number))


@router.post("/{number}/history")
async def history(number: PathNumber, body: HistoryRequest, service: Service) -> MessageIds:
    """Sends past messages to all linked devices."""
    return MessageIds(ids=service.history(number, body))


@router.post("/{number}/chats", status_code=204)
async def change_chat(number: PathNumber, body: ChatChangeRequest, service: Service) -> None:
    """Archives, pins, mutes … on the phone: linked devices learn of it by app state."""
    service.change_chat(number, body)


@router.post("/{number}/app-state", status_code=204)
async def change_app_state(number: PathNumber, body: RawChangeRequest, service: Service) -> None:
    """Any change of app state, made on the phone."""
    service.change_app_state(number, body)


@router.get("/{number}/app-state")
async def app_state(number: PathNumber, service: Service) -> Mutations:
    """All changes of app state, by the phone and by linked devices."""
    return Mutations(mutations=service.app_state(number))


@router.post("/{number}/stanzas")
async def send_stanza(number: PathNumber, body: StanzaRequest, service: Service) -> Count:
    """Sends any stanza to all linked devices; tells how many are online."""
    return Count(count=service.send_stanza(number, body))


@router.post("/{number}/app-state-keys")
async def app_state_keys(number: PathNumber, service: Service) -> MessageIds:
    """Shares a new app-state key with all linked devices."""
    return MessageIds(ids=service.app_state_keys(number))


@router.post("/{number}/connections/cut")
async def cut(number: PathNumber, service: Service) -> Count:
    """Ends the TCP connections of the linked devices without a word."""
    return Count(count=service.cut(number))


@router.post("/{number}/connections/swallow")
async def swallow(number: PathNumber, service: Service) -> Count:
    """Makes black holes of the linked devices' connections: they stay open, and nothing goes through any more."""
    return Count(count=service.swallow(number))


@router.post("/{number}/connections/stream-error")
async def stream_error(number: PathNumber, body: StreamErrorRequest, service: Service) -> Count:
    """Ends the connections of the linked devices with a stream error."""
    return Count(count=service.stream_error(number, body.code, body.conflict))


@router.post("/{number}/connections/replace")
async def replace(number: PathNumber, service: Service) -> Count:
    """Tells the linked devices that another connection has taken their place."""
    return Count(count=service.stream_error(number, None, "replaced"))
