"""Files of messages, handed out."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from whatsam_api.dependencies import Context, ReadSession
from whatsam_api.limiting import CallerLimit
from whatsam_api.services.downloads import Link, Stream

router = APIRouter(tags=["messages"])

Range = Annotated[str | None, Header(alias="Range", max_length=100)]

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The file."},
    206: {"content": {"application/octet-stream": {}}, "description": "The part of it that `Range` asked for."},
    307: {"description": "A link to the file that works for five minutes."},
}


@router.get(
    "/sessions/{session_id}/messages/{message_id}/media",
    summary="The file of a message",
    response_class=Response,
    responses=ANSWERS,
)
async def get_media(
    message_id: UUID, session: ReadSession, context: Context, _: CallerLimit, part: Range = None
) -> Response:
    """A link to the file (`307`), or its bytes where callers cannot reach the object store.

    `409` with `Retry-After` while it is on its way from WhatsApp, `404` when WhatsApp has it no longer.
    """
    found = await context.downloads.media(session.spec.tenant, context.sessions.row_key(session), message_id, part)
    return handed_out(found)


def handed_out(found: Link | Stream) -> Response:
    """The answer that gives a file. What strangers sent is never run by a browser as a page of ours."""
    if isinstance(found, Link):
        return RedirectResponse(found.url, status_code=307)
    headers = {
        "Content-Disposition": found.disposition,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Accept-Ranges": "bytes",
        "Content-Length": str(found.size if found.span is None else found.span.length),
    }
    if found.span is not None:
        headers["Content-Range"] = f"bytes {found.span.first}-{found.span.last}/{found.size}"
    return StreamingResponse(
        found.chunks, status_code=200 if found.span is None else 206, headers=headers, media_type=found.content_type
    )
