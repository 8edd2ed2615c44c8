"""What a phone needs to link the session's device: the QR code in three forms, and the pairing code."""

import base64
from datetime import datetime
from io import BytesIO
from typing import Annotated

import qrcode
from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints
from qrcode.image.pil import PilImage
from qrcode.image.svg import SvgPathImage

from whatsam_api.dependencies import Context, ManageSession, ReadSession
from whatsam_api.envelope import Success, Wire, ok
from whatsam_api.errors import SessionNotReady
from whatsam_api.policies.session_view import explanation, status_word
from whatsam_core.resources import PairingStatus

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
    pairing = session.status.pairing
    code = pairing.code if pairing else None
    accept = request.headers.get("accept", "")
    if "image/" in accept:
        if code is None:
            raise SessionNotReady(explanation(session)[1] or "there is no QR code now; look at the session's status")
        if "svg" in accept:
            return Response(svg(code), media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
        return Response(png(code), media_type="image/png", headers={"Cache-Control": "no-store"})
    message = None if code else explanation(session)[1] or "no QR code yet; ask again in a second"
    return ok(
        QrView(
            qr_code=qr_code_url(pairing),
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


def qr_code_url(pairing: PairingStatus | None) -> str | None:
    """The QR code as a data URL, when there is one."""
    if pairing is None or pairing.code is None:
        return None
    return "data:image/png;base64," + base64.b64encode(png(pairing.code)).decode()


def png(code: str) -> bytes:
    """The QR code as a PNG picture."""
    target = BytesIO()
    qrcode.make(code, image_factory=PilImage).save(target, format="PNG")
    return target.getvalue()


def svg(code: str) -> bytes:
    """The QR code as an SVG picture."""
    target = BytesIO()
    qrcode.make(code, image_factory=SvgPathImage).save(target)
    return target.getvalue()
