"""What keeper and shipper say to each other: one JSON object a line over a local socket.

The keeper is the server and the only one who knows the truth across restarts of the shipper: it sends every session
again, from the numbers that the last shipper announced. An announcement leaves the process before the PUT it is about.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

LINE_LIMIT: Final = 1 << 20
"""Longest line in bytes; the list of quiet sessions of a big worker stays far below."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Configure(_Message):
    """First word of the keeper: the store's address and keys (not in argv or environment, where others could look)."""

    type: Literal["configure"] = "configure"
    s3_url: str
    s3_access_key: str = Field(repr=False)
    s3_secret_key: str = Field(repr=False)
    s3_bucket: str
    s3_region: str
    put_timeout: float
    poll_period: float


class StoredBase(_Message):
    """A base that the store confirmed."""

    seq: int
    at: datetime
    covered: float
    sha256: str


class Track(_Message):
    """Ship this session from now on. `stored` is the newest base of this epoch, `jid` the device in it.

    `uncertain`: a PUT with a higher number may have happened or may still happen, so store once more.
    """

    type: Literal["track"] = "track"
    uid: str
    database: str
    tenant: str
    session: str
    prefix: str
    epoch: int
    boot: str
    engine: str
    data_key: bytes = Field(repr=False)
    key_record: bytes
    next_seq: int
    stored: StoredBase | None
    uncertain: bool
    jid: str | None


class Flush(_Message):
    """Answer `Flushed` when everything that was committed before now is stored."""

    type: Literal["flush"] = "flush"
    id: int
    uid: str


class Hurry(_Message):
    """Somebody waits for this session: look now, and say what was found without waiting for the next turn."""

    type: Literal["hurry"] = "hurry"
    uid: str


class Release(_Message):
    """Like flush, then close the database and forget the session."""

    type: Literal["release"] = "release"
    id: int
    uid: str


class Untrack(_Message):
    """Close the database and forget the session without another look."""

    type: Literal["untrack"] = "untrack"
    id: int
    uid: str


class Attempt(_Message):
    """This sequence number is used up, whatever becomes of the PUT."""

    type: Literal["attempt"] = "attempt"
    uid: str
    seq: int


class Stored(_Message):
    """A base is in the store."""

    type: Literal["stored"] = "stored"
    uid: str
    jid: str
    base: StoredBase


class Quiet(_Message):
    """Nothing changed since the stored base: it covers everything up to these instants."""

    type: Literal["quiet"] = "quiet"
    covered: dict[str, float]


class Flushed(_Message):
    """The answer to flush, release and untrack. `sha256`: of the database as it is now, when it was looked at.

    `problem`: NO_DEVICE, DEVICE_GONE or DAMAGED; the state is not stored and will not be.
    """

    type: Literal["flushed"] = "flushed"
    id: int
    uid: str
    base: StoredBase | None
    sha256: str
    problem: Literal["NO_DEVICE", "DEVICE_GONE", "DAMAGED"] | None = None


class Behind(_Message):
    """The session's state does not get into the store at present; `None` when it does again."""

    type: Literal["behind"] = "behind"
    uid: str
    reason: str | None
    device_gone: bool = False


class KeyConflict(_Message):
    """The store holds another data key than the one this session is sealed with."""

    type: Literal["key_conflict"] = "key_conflict"
    uid: str


Command = Annotated[Configure | Track | Flush | Hurry | Release | Untrack, Field(discriminator="type")]
Report = Annotated[Attempt | Stored | Quiet | Flushed | Behind | KeyConflict, Field(discriminator="type")]

COMMANDS: Final[TypeAdapter[Configure | Track | Flush | Hurry | Release | Untrack]] = TypeAdapter(Command)
REPORTS: Final[TypeAdapter[Attempt | Stored | Quiet | Flushed | Behind | KeyConflict]] = TypeAdapter(Report)


def line(message: BaseModel) -> bytes:
    """A message as it travels."""
    return message.model_dump_json().encode() + b"\n"
