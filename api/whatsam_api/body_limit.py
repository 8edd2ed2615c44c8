"""Refuses bodies that are larger than any call of the contract, before they fill the process's memory."""

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whatsam_api.envelope import Failure, Problem

LARGEST = 1024 * 1024
"""Bytes. A text has at most 64 Ki characters."""


class BodyLimit:
    """ASGI middleware: by the announced length at once, else as soon as more has come."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer 413."""
        announced = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if announced.isdecimal() and int(announced) > LARGEST:
            problem = Problem(code="TOO_LARGE", message=f"a body has at most {LARGEST} bytes")
            refusal = Failure(error=problem, request_id="").model_dump(mode="json", by_alias=True)
            await JSONResponse(refusal, status_code=413, headers={"Connection": "close"})(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST:
                raise HTTPException(413, f"a body has at most {LARGEST} bytes")
            return message

        await self._app(scope, bounded, send)
