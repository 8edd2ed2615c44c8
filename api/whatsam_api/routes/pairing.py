"""What a phone needs to link the session's device: the QR code in three forms, and the pairing code."""

import asyncio
import base64
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints

from whatsam_api.dependencies import Context, ManageSession, ReadSession
from whatsam_api.envelope import Success, Wire, ok
from whatsam_api.errors import SessionNotReady
from whatsam_api.policies.session_view import explanation, shown_pairing, status_word
from whatsam_api.services import pictures
from whatsam_core.resources import WhatsAppSession

router = APIRouter(tags=["pairing"])

QR_WAIT = 2.0
"""Seconds that creating a session waits for its first QR code."""


class QrView(Wire):
    """The QR code, or what to do instead."""

    qr_code: str | None
    """A data URL with a PNG picture."""
    qr_string: str | None
    status: str
    expires_at: datetime | None
    message: str | None


class PairingCodeWish(Wire):
    """The phone that is to be linked."""

    phone_number: Annotated[str, StringConstraints(pattern=r"^\+?[1-9][0-9]{5,14}$")]


class PairingCodeView(Wire):
    """The eight characters to type on the phone."""

    pairing_code: str
    expires_at: datetime | None


@router.get(
    "/sessions/{session_id}/qr",
    summary="The QR code",
    response_model=Success[QrView],
    responses={200: {"content": {"image/png": {}, "image/svg+xml": {}}}},
)
async def qr(session: ReadSession, request: Request) -> Response | Success[QrView]:
    """The QR code as JSON, or as a picture with `Accept: image/png` or `image/svg+xml`."""
    pairing = shown_pairing(session, datetime.now(UTC))
    code = pairing.code if pairing else None
    accept = request.headers.get("accept", "")
    wants_svg, wants_png = "image/svg+xml" in accept, "image/png" in accept or "image/*" in accept
    if wants_svg or wants_png:
        if code is None:
            raise SessionNotReady(explanation(session)[1] or "there is no QR code now; look at the session's status")
        if wants_svg:
            return Response(await asyncio.to_thread(pictures.svg, code), media_type="image/svg+xml")
        return Response(await asyncio.to_thread(pictures.png, code), media_type="image/png")
    message = None if code else explanation(session)[1] or "no QR code yet; ask again in a second"
    return ok(
        QrView(
            qr_code=await qr_code_url(session),
            qr_string=code,
            status=status_word(session),
            expires_at=pairing.expires_at if pairing else None,
            message=message,
        )
    )


@router.post("/sessions/{session_id}/pairing-code", summary="Pair by code")
async def pairing_code(body: PairingCodeWish, session: ManageSession, context: Context) -> Success[PairingCodeView]:
    """Eight characters to type on the phone instead of scanning."""
    found = await context.sessions.pairing_code(session, body.phone_number.removeprefix("+"))
    return ok(PairingCodeView(pairing_code=found.code, expires_at=found.expires_at))


async def qr_code_url(session: WhatsAppSession) -> str | None:
    """The QR code as a data URL, when there is one that works."""
    pairing = shown_pairing(session, datetime.now(UTC))
    if pairing is None or pairing.code is None:
        return None
    return "data:image/png;base64," + base64.b64encode(await asyncio.to_thread(pictures.png, pairing.code)).decode()
