"""The passkey of an account that asks for one before it is linked."""

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from whatsam_api.dependencies import Context, ManageSession, ReadSession
from whatsam_api.envelope import Success, Wire, ok
from whatsam_api.limiting import CallerLimit
from whatsam_api.policies.session_view import explanation, status_word
from whatsam_api.services.passkeys import passkey_of
from whatsam_core.resources import WhatsAppSession

router = APIRouter(tags=["pairing"])


def _unpadded(text: str) -> str:
    bare = text.rstrip("=")
    try:
        base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        raise ValueError("no base64url") from None
    return bare


Base64Url = Annotated[
    str, StringConstraints(min_length=1, max_length=8192, pattern=r"^[A-Za-z0-9_-]+={0,2}$"), AfterValidator(_unpadded)
]


class _FromBrowser(BaseModel):
    """Browsers add fields of their own, which are left out."""

    model_config = ConfigDict(extra="ignore")


class Assertion(_FromBrowser):
    """`AuthenticatorAssertionResponse` as JSON."""

    client_data_json: Base64Url = Field(alias="clientDataJSON")
    authenticator_data: Base64Url = Field(alias="authenticatorData")
    signature: Base64Url
    user_handle: Base64Url | None = Field(default=None, alias="userHandle")


class Credential(_FromBrowser):
    """What `navigator.credentials.get()` came to: `PublicKeyCredential.toJSON()`."""

    id: Base64Url
    raw_id: Base64Url = Field(alias="rawId")
    type: Literal["public-key"]
    response: Assertion


class PasskeyView(Wire):
    """What the account asks for, or what to do instead."""

    request: dict[str, Any] | None
    """`PublicKeyCredentialRequestOptions` as JSON; `challenge` and ids are base64url."""
    confirmation_code: str | None
    """To be compared with the code on the phone."""
    status: str
    expires_at: datetime | None
    message: str | None


class Confirmed(Wire):
    """The codes are the same."""

    confirmed: bool = True


@router.get("/sessions/{session_id}/passkey", summary="The passkey that is asked for")
async def passkey(session: ReadSession) -> Success[PasskeyView]:
    """WebAuthn's request, while an account that has a passkey is being linked."""
    return ok(_view(session))


@router.post("/sessions/{session_id}/passkey", summary="Answer with the passkey")
async def answer(body: Credential, session: ManageSession, context: Context, _: CallerLimit) -> Success[PasskeyView]:
    """Hand in the authenticator's answer. The view may then have a code to compare."""
    return ok(_view(await context.passkeys.answer(session, body.model_dump(by_alias=True))))


@router.post("/sessions/{session_id}/passkey/confirm", summary="Confirm the compared code")
async def confirm(session: ManageSession, context: Context, _: CallerLimit) -> Success[Confirmed]:
    """The code here and the one on the phone are the same."""
    await context.passkeys.confirm(session)
    return ok(Confirmed())


def _view(session: WhatsAppSession) -> PasskeyView:
    asked = passkey_of(session)
    return PasskeyView(
        request=json.loads(asked.request) if asked else None,
        confirmation_code=asked.confirmation_code if asked else None,
        status=status_word(session),
        expires_at=asked.expires_at if asked else None,
        message=explanation(session)[1],
    )
