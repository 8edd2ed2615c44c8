"""Reads what a caller wants to send: JSON, or a multipart form with a file. For `routes.sending`."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from whatsam_api.errors import TooSlow
from whatsam_api.models.sending import KINDS, FileMessage, Sendable
from whatsam_api.services.media_intake import UPLOAD_SECONDS, Incoming, MediaIntake

LIGHT: Final = 256 * 1024
"""Bytes of a JSON body above which it counts as one that carries a file."""
_MOST_FIELDS: Final = 40
_MOST_FIELD_BYTES: Final = 512 * 1024
_FILE_PARTS: Final = ("file", "media")
_STRUCTURED: Final = frozenset({"location", "contacts", "poll", "mentions", "payload"})
"""Fields of a form that hold JSON."""


@dataclass(frozen=True)
class SendCall:
    """What a caller wants to send, and the file that came with it."""

    wanted: Sendable
    incoming: Incoming | None = None
    folder: Path | None = None


@asynccontextmanager
async def send_call(request: Request, intake: MediaIntake, tenant: str) -> AsyncGenerator[SendCall]:
    """The parsed call; its file is on disk until the context ends. Raises `RequestValidationError` or `ApiError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    async with AsyncExitStack() as stack:
        if kind == "multipart/form-data":
            folder = await stack.enter_async_context(intake.turn(tenant))
            try:
                async with asyncio.timeout(UPLOAD_SECONDS):
                    form = await stack.enter_async_context(
                        request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD_BYTES)
                    )
            except TimeoutError as error:
                raise TooSlow(f"a file must arrive within {UPLOAD_SECONDS:.0f} seconds") from error
            fields, upload = _form_fields(form)
            wanted = parsed(fields)
            if upload is None:
                yield SendCall(wanted)
                return
            if not isinstance(wanted, FileMessage):
                raise _invalid("type", f"a message of type {wanted.type} carries no file")
            if wanted.media is not None:
                raise _invalid("media", "give either a file or media")
            yield SendCall(wanted, await intake.from_upload(folder, upload), folder)
            return
        if kind and kind != "application/json" and not kind.endswith("+json"):
            raise _invalid("body", "send JSON, or a form of type multipart/form-data")
        announced = request.headers.get("content-length", "")
        if not announced.isdecimal() or int(announced) > LIGHT:
            await stack.enter_async_context(intake.heavy())
        data = await request.body()
        content = await asyncio.to_thread(_json, data) if len(data) > LIGHT else _json(data)
        if not isinstance(content, dict):
            raise _invalid("body", "send a JSON object")
        yield SendCall(parsed(cast("dict[str, Any]", content)))


def parsed(fields: dict[str, Any]) -> Sendable:
    """The message that the fields describe. Raises `RequestValidationError`."""
    kind = fields.get("type", "text")
    adapter = KINDS.get(kind) if isinstance(kind, str) else None
    if adapter is None:
        raise _invalid("type", f"one of {', '.join(KINDS)}")
    try:
        return adapter.validate_python(fields)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False)) from None


def _json(data: bytes | str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _invalid("body", "this is not JSON") from error


def _form_fields(form: FormData) -> tuple[dict[str, Any], UploadFile | None]:
    fields: dict[str, Any] = {}
    upload: UploadFile | None = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name not in _FILE_PARTS:
                raise _invalid(name, "the part with the file is called 'file'")
            upload = value
        elif name == "mentions" and not value.lstrip().startswith("["):
            fields.setdefault("mentions", []).append(value)
        elif name in _STRUCTURED:
            content = _json(value)
            if name == "payload":
                if not isinstance(content, dict):
                    raise _invalid("payload", "this part holds a JSON object")
                fields |= cast("dict[str, Any]", content)
            else:
                fields[name] = content
        else:
            fields[name] = value
    return fields, upload


def _invalid(field: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", field), "msg": message, "type": "value_error"}])
