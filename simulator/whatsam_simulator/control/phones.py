"""Routes that play the owner of a phone."""

from __future__ import annotations

from fastapi import APIRouter

from whatsam_simulator.contacts.phone import HistoryEntry
from whatsam_simulator.control.dependencies import PathNumber, Service
from whatsam_simulator.control.models import (
    Count,
    Devices,
    HistoryRequest,
    MessageIds,
    PairedDevice,
    PairingCodeRequest,
    ScanRequest,
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


@router.post("/{number}/unlink")
async def unlink(number: PathNumber, service: Service) -> Devices:
    """Removes all linked devices."""
    return Devices(devices=service.unlink(number))


@router.post("/{number}/history")
async def history(number: PathNumber, body: HistoryRequest, service: Service) -> MessageIds:
    """Sends past messages of one chat to all linked devices."""
    entries = [HistoryEntry(message.text, message.from_me) for message in body.messages]
    return MessageIds(ids=service.history(number, body.chat, entries))


@router.post("/{number}/app-state-keys")
async def app_state_keys(number: PathNumber, service: Service) -> MessageIds:
    """Shares a new app-state key with all linked devices."""
    return MessageIds(ids=service.app_state_keys(number))


@router.post("/{number}/connections/cut")
async def cut(number: PathNumber, service: Service) -> Count:
    """Ends the TCP connections of the linked devices without a word."""
    return Count(count=service.cut(number))


@router.post("/{number}/connections/stream-error")
async def stream_error(number: PathNumber, body: StreamErrorRequest, service: Service) -> Count:
    """Ends the connections of the linked devices with a stream error."""
    return Count(count=service.stream_error(number, body.code, body.conflict))


@router.post("/{number}/connections/replace")
async def replace(number: PathNumber, service: Service) -> Count:
    """Tells the linked devices that another connection has taken their place."""
    return Count(count=service.stream_error(number, None, "replaced"))
