"""Requests and answers of the control API; the Python client returns the same classes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from whatsam_simulator.contacts.app_state import MutationView
from whatsam_simulator.contacts.outgoing import MAX_MEDIA_BASE64, Number, Request
from whatsam_simulator.journal.records import CounterUse, Holder, MessageEvent, Violation


class ScanRequest(Request):
    qr: str = Field(description="The text of the QR code")


class PairingCodeRequest(Request):
    code: str = Field(description="The eight characters that the client shows, with or without the dash", min_length=8)


class PairedDevice(BaseModel):
    """A device that has just been linked, or will be once it has presented the phone's passkey."""

    device: str = Field(description="number:id, as the journal names it")
    jid: str
    lid: str


class PasskeyRequest(Request):
    """A passkey of a phone's owner: from now on a companion must present it before it is linked."""

    credential: str = Field(description="Id of the credential, base64url without padding")
    public_key: str = Field(description="Its P-256 key: SubjectPublicKeyInfo, base64url without padding")
    rp_id: str = "whatsapp.com"
    timeout_seconds: int = Field(default=300, ge=1, le=3600, description="As the options tell it")
    options_on_request: bool = Field(default=False, description="The companion has to ask for the options")
    continues_with: int = Field(
        default=1, ge=1, description="With which good answer the phone goes on; only the first proves the scan"
    )
    phone: Literal["continues", "silent", "garbled"] = Field(
        default="continues", description="What the phone does after a good answer"
    )


class PasskeyView(BaseModel):
    """How far the newest linking by passkey has come."""

    asked: bool
    refused: int = Field(description="Answers that the server did not take")
    answered: int = Field(description="Answers that it took")
    handoff_proven: bool = Field(description="The last answer proved that the companion's code was scanned")
    code: str = Field(description="What the phone shows for its owner to compare; empty: nothing yet")
    confirmed: bool


class MessageId(BaseModel):
    id: str


class MessageIds(BaseModel):
    ids: list[str]


class Devices(BaseModel):
    devices: list[str]


class StanzaNode(Request):
    """A stanza as it goes to a client. Attributes are text, or `{"jid": "…"}` for an address; content is nodes, or
    bytes in base64."""

    tag: str
    attributes: dict[str, str | JidAttribute] = Field(default_factory=dict[str, "str | JidAttribute"])
    children: list[StanzaNode] = Field(default_factory=list["StanzaNode"])
    data: str | None = None


class JidAttribute(Request):
    jid: str


class StanzaRequest(Request):
    """A stanza for every linked device of a phone."""

    stanza: StanzaNode
    keep: bool = Field(default=False, description="Keep it for devices that are away, until they acknowledge it")


class UploadRequest(Request):
    """A file for the media host, as a sender encrypts it."""

    kind: Literal["image", "video", "ptv", "audio", "document", "sticker", "history", "app-state"] = "document"
    data: str = Field(description="base64", max_length=MAX_MEDIA_BASE64)


class Uploaded(BaseModel):
    """What a message has to say about the file; keys and hashes in hex digits."""

    url: str
    direct_path: str
    media_key: str
    sha256: str
    enc_sha256: str
    size: int


class MediaBehaviourRequest(Request):
    """How the media host serves one file from now on; all empty: as any other."""

    direct_path: str
    status: int | None = Field(default=None, ge=400, le=599)
    silent: bool = False
    corrupt: bool = False
    bytes_per_second: int | None = Field(default=None, ge=1)


class ProxyRequest(Request):
    kind: Literal["http", "socks5"] = "http"
    user: str = Field(default="", description="Empty: no password is asked for")
    password: str = ""
    port: int = Field(default=0, ge=0, le=65535, description="0: a free one")
    silent: bool = Field(default=False, description="Takes connections and never answers")


class ProxyView(BaseModel):
    """A proxy, and who came."""

    kind: str
    port: int
    url: str = Field(description="With user and password")
    connections: int
    tunnels: int = Field(description="Connections that were let through")
    refused: int = Field(description="Wrong passwords, and what is no tunnel")
    targets: dict[str, int] = Field(description="host:port → how often it was asked for")


class NewsletterView(BaseModel):
    """A newsletter; people by number."""

    id: str
    jid: str
    name: str
    description: str
    owner: str
    invite: str
    followers: list[str]
    muted: list[str]
    posts: list[str] = Field(description="Ids of its messages")
    reactions: dict[int, dict[str, str]] = Field(description="Server id of a message → number → emoji")


class CallRequest(Request):
    to: Number
    video: bool = False
    group: str | None = None


class CallChangeRequest(Request):
    to: Number
    change: Literal["accept", "preaccept", "terminate", "reject", "transport", "relaylatency"] = "terminate"
    reason: str | None = None


class CallId(BaseModel):
    id: str


class Mutations(BaseModel):
    mutations: list[MutationView]


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
