"""Requests and answers of the control API; the Python client returns the same classes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from whatsam_simulator.contacts.outgoing import Number, Request
from whatsam_simulator.journal.records import CounterUse, Holder, MessageEvent, Violation


class ScanRequest(Request):
    qr: str = Field(description="The text of the QR code")


class PairingCodeRequest(Request):
    code: str = Field(description="The eight characters that the client shows, with or without the dash", min_length=8)


class PairedDevice(BaseModel):
    """A device that has just been linked."""

    device: str = Field(description="number:id, as the journal names it")
    jid: str
    lid: str


class MessageId(BaseModel):
    id: str


class PastMessage(Request):
    text: str
    from_me: bool = False


class HistoryRequest(Request):
    chat: Number
    messages: list[PastMessage] = Field(min_length=1)


class MessageIds(BaseModel):
    ids: list[str]


class Devices(BaseModel):
    devices: list[str]


class StreamErrorRequest(Request):
    code: int | None = Field(default=503, ge=100, le=999, description="503, 500, 515, 401 …; null for none")
    conflict: str | None = Field(default=None, description="replaced, device_removed")


class Count(BaseModel):
    count: int


class Holders(BaseModel):
    holders: list[Holder]


class Messages(BaseModel):
    events: list[MessageEvent]


class Counters(BaseModel):
    counters: list[CounterUse]


class Violations(BaseModel):
    violations: list[Violation]


class Stanza(BaseModel):
    """One stanza, abbreviated, for debugging."""

    monotonic: float
    direction: Literal["from", "to"]
    who: str
    text: str


class Stanzas(BaseModel):
    stanzas: list[Stanza]


class ServerInfo(BaseModel):
    """Where the simulator listens, what clients must trust, and what goes on."""

    host: str
    tls_port: int
    proxy_port: int
    control_port: int
    control_url: str
    proxy_url: str
    ca_file: str
    ca_pem: str
    root_key: str = Field(description="Public key of the Noise root, 64 hex digits")
    online: list[str] = Field(default_factory=list[str], description="Devices that are logged in, number:id")
    pairing: int = Field(default=0, description="Clients that show a QR or pairing code")
    queues: dict[str, int] = Field(default_factory=dict[str, int], description="Device → stanzas not acknowledged")
    unknown: dict[str, int] = Field(default_factory=dict[str, int], description="What nothing here understood")


class Started(BaseModel):
    """The line that `whatsam-simulator serve` prints once everything listens."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    control_url: str
    tls_port: int
    proxy_port: int
    control_port: int
    ca: str = Field(description="File of the CA that clients must trust")
    root: str = Field(description="Public key of the Noise root, 64 hex digits")

    @classmethod
    def of(cls, info: ServerInfo) -> Started:
        return cls(
            control_url=info.control_url,
            tls_port=info.tls_port,
            proxy_port=info.proxy_port,
            control_port=info.control_port,
            ca=info.ca_file,
            root=info.root_key,
        )


class Health(BaseModel):
    status: Literal["ok"] = "ok"
