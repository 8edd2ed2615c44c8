"""The form of every answer: `{"success": true, "data": …}` or `{"success": false, "error": …, "requestId": …}`."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Data = TypeVar("Data")


class Wire(BaseModel):
    """Base of what travels: camelCase outside, snake_case inside; a field that does not exist is an error."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Success(BaseModel, Generic[Data]):
    """A call that did what it was asked."""

    success: Literal[True] = True
    data: Data


class Page(Wire, Generic[Data]):
    """A part of a list. `next_cursor` is None on the last page."""

    items: list[Data]
    total: int
    limit: int
    next_cursor: str | None = None


class Problem(Wire):
    """Why a call was refused."""

    code: str
    message: str
    details: Any = None


class Failure(Wire):
    """A call that was refused."""

    success: Literal[False] = False
    error: Problem
    request_id: str


def ok(data: Data) -> Success[Data]:
    """Wrap what a route answers."""
    return Success(data=data)
