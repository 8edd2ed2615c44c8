"""The form of every answer: `{"success": true, "data": …}` or `{"success": false, "error": …, "requestId": …}`."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Data = TypeVar("Data")

_FAR = 9000


def _writable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a text cannot contain the character NUL")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a text cannot contain half a character (a lone surrogate)")
    return text


def _near(moment: datetime) -> datetime:
    if not 1970 <= moment.year <= _FAR:
        raise ValueError(f"give a time between the years 1970 and {_FAR}")
    return moment


Writable = Annotated[str, AfterValidator(_writable)]
"""A text that PostgreSQL can keep."""
Moment = Annotated[AwareDatetime, AfterValidator(_near)]
"""A time with its offset from UTC, not at the ends of what a database can reckon with."""


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
    total_exact: bool = True
    """False: there are more than `total`; counting ended there."""
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
