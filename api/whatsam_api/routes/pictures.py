"""Reads an uploaded picture: the body itself, a file of a form, or base64 in JSON. Used by routes that set pictures."""

import base64
import binascii
from typing import Any, cast

from fastapi import Request
from starlette.datastructures import UploadFile

from whatsam_api.errors import InvalidField

UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "image/webp": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"picture": {"type": "string", "format": "binary"}}}
            },
            "application/json": {
                "schema": {"type": "object", "properties": {"picture": {"type": "string", "format": "byte"}}}
            },
        },
    }
}
"""What OpenAPI says of such a body."""


async def uploaded_picture(request: Request) -> bytes:
    """The picture's bytes, whatever they are. Raises `InvalidField`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=1) as form:
            file = form.get("picture")
            content = await file.read() if isinstance(file, UploadFile) else b""
    elif kind == "application/json":
        content = _decoded(await _json(request))
    else:
        content = await request.body()
    if not content:
        raise InvalidField("picture", "send a picture: as the body, as the form's file `picture`, or as base64 in JSON")
    return content


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except (ValueError, RecursionError):
        raise InvalidField("picture", "the body is no JSON") from None


def _decoded(body: Any) -> bytes:
    picture = cast("dict[str, Any]", body).get("picture") if isinstance(body, dict) else None
    if not isinstance(picture, str):
        raise InvalidField("picture", "give the picture as base64")
    try:
        return base64.b64decode(picture.partition(";base64,")[2] or picture, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidField("picture", "give the picture as base64") from None
