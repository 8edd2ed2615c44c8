"""Refuses bodies that are larger than any call of the contract, before they fill the process's memory."""

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whatsam_api.envelope import Failure, Problem

LARGEST = 1024 * 1024
"""Bytes. A text has at most 64 Ki characters."""
LARGEST_PICTURE = 8 * LARGEST
"""Bytes: what a phone's camera makes, also in base64. It is held in memory while it is made small."""


class BodyLimit:
    """ASGI middleware: by the announced length at once, else as soon as more has come."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer 413."""
        announced = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        largest = _largest(scope)
        if announced.isdecimal() and int(announced) > largest:
            problem = Problem(code="TOO_LARGE", message=f"a body has at most {largest} bytes")
            refusal = Failure(error=problem, request_id="").model_dump(mode="json", by_alias=True)
            await JSONResponse(refusal, status_code=413, headers={"Connection": "close"})(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > largest:
                raise HTTPException(413, f"a body has at most {largest} bytes")
            return message

        await self._app(scope, bounded, send)


def _largest(scope: Scope) -> int:
    """Messages may carry a file: as a part of a form, which goes to disk, or in base64, which is held in memory."""
    if scope["type"] == "http" and scope["method"] == "PUT" and scope["path"].endswith("/picture"):
        return LARGEST_PICTURE
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/send"):
        return LARGEST
    context = getattr(scope["app"].state, "context", None)
    if context is None:
        return LARGEST
    if Headers(scope=scope).get("content-type", "").startswith("multipart/"):
        return LARGEST + context.settings.media_max_bytes
    return LARGEST + context.settings.media_base64_max_bytes * 4 // 3
