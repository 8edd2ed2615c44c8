"""Faults that a test may switch on. Read by every handler that can go wrong; set through the control API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Namespace = str


class Faults(BaseModel):
    """All faults are off by default. A `PUT` replaces the whole set; counts run down as they are used up."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    numbers: list[str] = Field(
        default_factory=list[str],
        description="Whose logins, stanzas and messages are concerned. Empty: everybody's",
    )
    refuse_connections: bool = Field(default=False, description="The proxy closes every new TCP connection at once")
    websocket_status: int | None = Field(default=None, ge=400, le=599, description="HTTP status, no websocket")
    websocket_delay_seconds: float = Field(default=0, ge=0, le=600)
    silent_handshake: bool = Field(default=False, description="The ServerHello never comes")
    login_failure: int | None = Field(default=None, ge=400, le=599, description="reason of a <failure>: 401, 402 …")
    ban_code: int = Field(default=101, ge=0, description="code of the temporary ban that login failure 402 tells")
    qr_codes: int = Field(default=6, ge=1, le=20, description="QR codes that a pairing client gets")
    wrong_pairing_hmac: bool = Field(default=False, description="The phone signs pairings with a wrong secret")
    close_delay_seconds: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="Between the last stanza and the end of the socket; at 0 clients lose it",
    )
    stanza_delay_seconds: float = Field(default=0, ge=0, le=60, description="Every stanza to a client waits this long")
    message_error: int | None = Field(default=None, ge=400, le=599, description="Error in the server's ack of messages")
    damage_messages: int = Field(default=0, ge=0, description="Next messages to companions that arrive damaged")
    unavailable_messages: int = Field(
        default=0, ge=0, description="Next messages to companions that arrive as <unavailable type=view_once>"
    )
    lose_receipts: int = Field(
        default=0,
        ge=0,
        description="Next delivery receipts of companions that the server forgets: it delivers again after a login",
    )
    ack_delay_seconds: float = Field(default=0, ge=0, le=600, description="Acks of messages come late")
    unreadable_at_contacts: int = Field(default=0, ge=0, description="Next 1:1 messages that contacts cannot read")
    used_keys: Literal["drop", "retry"] = Field(
        default="drop",
        description="What contacts answer to a used counter: a delivery receipt (as whatsmeow) or retry",
    )
    repeated_sender_key: Literal["keep", "replace"] = Field(
        default="keep", description="What contacts do when a sender key they know is distributed again"
    )
    media_status: int | None = Field(default=None, ge=400, le=599, description="HTTP status of uploads and downloads")
    upload_status: int | None = Field(default=None, ge=400, le=599, description="As media_status, uploads only")
    download_status: int | None = Field(default=None, ge=400, le=599, description="As media_status, downloads only")
    silent_uploads: bool = Field(default=False, description="The media host takes uploads and never answers")
    silent_downloads: bool = Field(default=False, description="The media host never answers downloads")
    corrupt_downloads: int = Field(default=0, ge=0, description="Next downloads with one bit turned over")
    download_bytes_per_second: int | None = Field(default=None, ge=1, description="Downloads drip")
    media_delay_seconds: float = Field(default=0, ge=0, le=600)
    ignore: list[Namespace] = Field(
        default_factory=list[str], description="iq namespaces or stanza tags without answer"
    )
    empty: list[Namespace] = Field(default_factory=list[str], description="iq namespaces that get an empty result")
    error: list[Namespace] = Field(default_factory=list[str], description="iq namespaces that get error 500")
    conflict_with_patches: bool = Field(default=False, description="App-state conflicts carry the missing patches")
    silent_phone: bool = Field(default=False, description="Phones send no keys, no history after a pairing")

    def concern(self, number: str | None) -> bool:
        """Whether faults of one connection or message hold for this number."""
        return not self.numbers or number in self.numbers
