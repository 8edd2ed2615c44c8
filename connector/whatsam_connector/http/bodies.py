"""Reads the arguments of a call: a JSON object of bounded size. Used by the routes."""

import json
from enum import Enum, auto
from typing import Any, cast

from fastapi import Request

LARGEST_BODY = 1024 * 1024
"""Bytes: a picture in base64, or the members of the largest group."""


class BodyProblem(Enum):
    """Why a body is not taken."""

    TOO_LARGE = auto()
    NOT_JSON = auto()


async def read_arguments(request: Request) -> dict[str, Any] | BodyProblem:
    """The body's object; an empty body is an empty one. No more than the limit is ever held."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            return BodyProblem.TOO_LARGE
    if not body:
        return {}
    try:
        found = json.loads(bytes(body))
    except (ValueError, RecursionError):
        return BodyProblem.NOT_JSON
    return cast("dict[str, Any]", found) if isinstance(found, dict) else BodyProblem.NOT_JSON
