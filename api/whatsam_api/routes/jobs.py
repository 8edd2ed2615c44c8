"""Exports of a session's data and erasures of it: long pieces of work with progress."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import StringConstraints

from whatsam_api.dependencies import Context, ManageSession
from whatsam_api.envelope import Success, Wire, ok
from whatsam_api.errors import FileNotFound, FileNotReady
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.history import JobRow
from whatsam_api.policies.downloads import disposition
from whatsam_api.policies.history import chat_address
from whatsam_api.routes.files import ANSWERS, Range, handed_out

router = APIRouter(tags=["history"])


class JobView(Wire):
    """A long piece of work."""

    job_id: UUID
    kind: str
    """export or erase."""
    state: str
    """waiting, running, done, failed; expired: the file of an export is gone."""
    progress: int
    """Messages that are done."""
    total: int | None
    """Messages in all, once they are counted."""
    error: str | None
    url: str | None
    """Path of this API that gives the file of an export that is done."""
    created_at: datetime
    updated_at: datetime


class ErasureWish(Wire):
    """What is to be erased."""

    contact: Annotated[str, StringConstraints(min_length=5, max_length=100)] | None = None
    """A phone number or address: everything that this person sent or was sent. Without it: everything."""


def _view(row: JobRow, session_id: str) -> JobView:
    url = f"/api/v1/sessions/{session_id}/exports/{row.id}/file" if row.object is not None else None
    return JobView(
        job_id=row.id,
        kind=row.kind,
        state=row.state,
        progress=row.progress,
        total=row.total,
        error=row.error,
        url=url,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


@router.post("/sessions/{session_id}/exports", summary="Export a session's data", status_code=202)
async def begin_export(session: ManageSession, context: Context, _: CallerLimit) -> Success[JobView]:
    """Write everything that is kept of the session into a file: messages and what came of them, chats, contacts.

    While one is under way, that one is answered. The file is kept for seven days.
    """
    tenant, key = session.spec.tenant, context.sessions.row_key(session)
    return ok(_view(await context.jobs.begin(tenant, key, "export", {}), session.metadata.name))


@router.get("/sessions/{session_id}/exports", summary="List exports")
async def list_exports(session: ManageSession, context: Context, _: CallerLimit) -> Success[list[JobView]]:
    """The last exports, newest first."""
    rows = await context.jobs.recent(session.spec.tenant, context.sessions.row_key(session), "export")
    return ok([_view(row, session.metadata.name) for row in rows])


@router.get("/sessions/{session_id}/exports/{job_id}", summary="One export")
async def get_export(job_id: UUID, session: ManageSession, context: Context, _: CallerLimit) -> Success[JobView]:
    """How far it is."""
    row = await context.jobs.get(session.spec.tenant, context.sessions.row_key(session), "export", job_id)
    return ok(_view(row, session.metadata.name))


@router.get(
    "/sessions/{session_id}/exports/{job_id}/file",
    summary="The file of an export",
    response_class=Response,
    responses=ANSWERS,
)
async def get_export_file(
    job_id: UUID, session: ManageSession, context: Context, _: CallerLimit, part: Range = None
) -> Response:
    """Lines of JSON, compressed with gzip; each has a `kind`: export, chat, contact, message, reaction, vote …"""
    row = await context.jobs.get(session.spec.tenant, context.sessions.row_key(session), "export", job_id)
    if row.state in {"waiting", "running"}:
        raise FileNotReady("the export is under way", retry_after=5)
    if row.object is None:
        raise FileNotFound("this export has no file any more; begin a new one")
    name = f"{session.metadata.name}-{row.created_at:%Y%m%d}.jsonl.gz"
    shown = disposition("application/gzip", name, name)
    gone = "this export has no file any more; begin a new one"
    return handed_out(await context.downloads.hand_out(row.object, "application/gzip", shown, part, gone=gone))


@router.post("/sessions/{session_id}/erasure", summary="Erase data", status_code=202)
async def begin_erasure(
    wish: ErasureWish, session: ManageSession, context: Context, _: CallerLimit
) -> Success[JobView]:
    """Erase what is kept of one person, or all of the session's history. The session itself stays.

    Messages that wait to be sent stay; files of messages go within 14 hours, where no other message has them.
    """
    tenant, key = session.spec.tenant, context.sessions.row_key(session)
    parameters = {} if wish.contact is None else {"contact": chat_address(wish.contact)}
    return ok(_view(await context.jobs.begin(tenant, key, "erase", parameters), session.metadata.name))


@router.get("/sessions/{session_id}/erasure/{job_id}", summary="One erasure")
async def get_erasure(job_id: UUID, session: ManageSession, context: Context, _: CallerLimit) -> Success[JobView]:
    """How far it is."""
    row = await context.jobs.get(session.spec.tenant, context.sessions.row_key(session), "erase", job_id)
    return ok(_view(row, session.metadata.name))
