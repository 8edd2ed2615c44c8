"""`WhatsAppSession`: a WhatsApp session as a declared object. Read and patched by operator, connector and API."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from whatsam_core.resources.base import ObjectMeta, WireModel
from whatsam_core.resources.conditions import Condition, ConditionType, find_condition

HIGHEST_EPOCH = 2**53 - 1
"""The highest whole number that every JSON reader keeps exactly."""
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""Names as Kubernetes takes them; the length is a limit of its own."""


class DesiredState(StrEnum):
    """What the owner wants of the session."""

    RUNNING = "Running"
    STOPPED = "Stopped"


class DeletionPolicy(StrEnum):
    """What becomes of the device when the object is deleted."""

    RETAIN = "Retain"
    """The auth state is kept for 72 h; a session of the same namespace, name and tenant takes it over."""
    LOGOUT = "Logout"
    """The device is logged out at WhatsApp and its state and key are destroyed."""


class PairingMethod(StrEnum):
    """How the phone links the device."""

    QR = "QR"
    CODE = "Code"


class PacingMode(StrEnum):
    """How fast messages leave."""

    OFF = "Off"
    HUMAN = "Human"
    """As a person would: a pause that grows with the text, and a typing indicator before it."""


class UncertainSends(StrEnum):
    """What becomes of a message of which nobody can know whether it was sent."""

    SEND_AGAIN = "SendAgain"
    """It may arrive twice."""
    FAIL = "Fail"
    """It may not have arrived at all."""


class Phase(StrEnum):
    """One word for people; programs read the conditions."""

    PENDING = "Pending"
    INITIALIZING = "Initializing"
    PAIRING = "Pairing"
    CONNECTED = "Connected"
    RECONNECTING = "Reconnecting"
    DISCONNECTED = "Disconnected"
    LOGGED_OUT = "LoggedOut"
    ERROR = "Error"


class PoolRef(WireModel):
    """Which pool of the same namespace runs the session."""

    name: str = Field(
        default="default", min_length=1, max_length=50, pattern=DNS_LABEL, description="Name of the WorkerPool."
    )


class Pairing(WireModel):
    """How the phone is to be linked."""

    method: PairingMethod = Field(
        default=PairingMethod.QR, description="QR (scan a picture) or Code (type eight characters)."
    )
    phone_number: str | None = Field(
        default=None,
        pattern=r"^[1-9][0-9]{5,14}$",
        description="The phone's number with country code, digits only, for example 491511000001. Required for Code.",
    )


class SecretKeyRef(WireModel):
    """A key of a Secret in the same namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret.")
    key: str = Field(default="secret", min_length=1, max_length=253, description="Key in the Secret.")


class Webhook(WireModel):
    """Where events of the session are delivered."""

    url: str = Field(min_length=1, max_length=2048, description="http or https address that takes the events.")
    events: list[str] = Field(
        default_factory=list[str], max_length=32, description="Kinds of events; empty means all of them."
    )
    secret_ref: SecretKeyRef | None = Field(default=None, description="The secret that signs the deliveries.")


class History(WireModel):
    """What is stored of the chats' past."""

    enabled: bool = Field(default=False, description="Store the history that the phone sends after pairing.")
    events: bool = Field(default=False, description="Tell webhooks and live events of messages of the history, too.")
    retention_days: int | None = Field(
        default=None, ge=1, le=3650, description="Days after which messages are deleted."
    )


class Calls(WireModel):
    """What becomes of calls."""

    reject: bool = Field(default=False, description="Reject each call as it comes in.")


class Pacing(WireModel):
    """How fast messages leave."""

    mode: PacingMode = Field(
        default=PacingMode.OFF, description="Off, or Human: a pause and a typing indicator before each message."
    )
    messages_per_minute: int | None = Field(
        default=None, ge=1, le=6000, description="Messages that leave in a minute at most."
    )


class Media(WireModel):
    """What becomes of pictures, recordings and files that come in."""

    download: bool = Field(default=True, description="Download them into the object store.")
    max_bytes: int | None = Field(default=None, ge=1, le=2 * 1024**3, description="Larger ones are not downloaded.")


class SessionSpec(WireModel):
    """What the owner declares."""

    pool_ref: PoolRef = Field(default_factory=PoolRef, description="The pool whose workers run the session.")
    tenant: str = Field(
        min_length=1, max_length=63, pattern=DNS_LABEL, description="Who owns the session. Cannot be changed later."
    )
    display_name: str | None = Field(default=None, max_length=128, description="A name for people.")
    desired_state: DesiredState = Field(
        default=DesiredState.RUNNING, description="Running, or Stopped to disconnect and keep the device."
    )
    pairing: Pairing = Field(default_factory=Pairing, description="How the phone links the device.")
    webhook: Webhook | None = Field(default=None, description="Where events are delivered.")
    proxy_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="The proxy (http or socks5 URL) of the session's connection. Workers may read the Secret "
        "whatsam-proxies; for another one they need a Role of its own.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="Retain keeps the auth state for 72 h, Logout unlinks the device and destroys it.",
    )
    history: History = Field(default_factory=History, description="What is stored of the chats' past.")
    calls: Calls = Field(default_factory=Calls, description="What becomes of calls.")
    pacing: Pacing = Field(default_factory=Pacing, description="How fast messages leave.")
    media: Media = Field(default_factory=Media, description="What becomes of files that come in.")
    uncertain_sends: UncertainSends = Field(
        default=UncertainSends.SEND_AGAIN,
        description="When nobody can know whether a message was sent: SendAgain (it may arrive twice) or Fail.",
    )


class Assignment(WireModel):
    """The worker that may run the session now. Written by the operator alone."""

    worker: str = Field(min_length=1, max_length=253, description="Name of the connector pod.")
    pod_uid: str = Field(alias="podUID", min_length=1, max_length=64, description="UID of that pod.")
    boot_id: str = Field(
        min_length=1, max_length=64, description="The boot of the connector: a restarted container is another one."
    )
    endpoint: str = Field(max_length=253, description="The connector's HTTP address, http://IP:PORT.")
    since: datetime = Field(description="When the assignment was made.")


class Successor(WireModel):
    """A worker that prepares itself to take the session over. Written by the operator, `preparedAt` by that worker."""

    worker: str = Field(min_length=1, max_length=253, description="Name of the connector pod.")
    pod_uid: str = Field(alias="podUID", min_length=1, max_length=64, description="UID of that pod.")
    boot_id: str = Field(min_length=1, max_length=64, description="The boot of the connector.")
    reason: str = Field(max_length=64, description="Why the session moves, one CamelCase word.")
    since: datetime = Field(description="When it was named.")
    prepared_at: datetime | None = Field(
        default=None,
        description="When it had everything but the last changes, and an engine ready: the holder may let go.",
    )


class FailedStarts(WireModel):
    """How often in a row the session's worker was lost before the session was up."""

    count: int = Field(ge=1, description="Times in a row.")
    epoch: int = Field(ge=0, description="The epoch of the last time.")
    generation: int = Field(ge=0, description="Generation of spec then: who changes spec wipes the slate.")
    at: datetime = Field(description="When it was seen last.")


class Handover(WireModel):
    """The exact state with which a holder let go; a successor that finds it needs no repair."""

    epoch: int = Field(ge=0, description="The epoch that ended.")
    seq: int = Field(ge=0, description="Sequence number of its last base; 0 when it had nothing to store.")
    sha256: str = Field(
        max_length=64, description="Hash of the database in that base; empty when it had nothing to store."
    )


class PasskeyStatus(WireModel):
    """What an account with a passkey asks for before the device is linked."""

    request: str = Field(
        max_length=16384, description="WebAuthn's PublicKeyCredentialRequestOptions for the owner's passkey, as JSON."
    )
    confirmation_code: str | None = Field(
        default=None,
        max_length=16,
        description="Once WhatsApp took the passkey: compare it with the code on the phone, then confirm.",
    )
    expires_at: datetime | None = Field(
        default=None, description="When the next step must be done; else the pairing begins anew."
    )


class PairingStatus(WireModel):
    """What the phone needs to link the device. Gone once it is linked."""

    code: str | None = Field(default=None, max_length=1024, description="Text of the QR code.")
    pairing_code: str | None = Field(
        default=None, max_length=16, description="The eight characters to type on the phone."
    )
    expires_at: datetime | None = Field(default=None, description="When it stops to work; a fresh one follows.")
    passkey: PasskeyStatus | None = Field(
        default=None, description="The passkey that the account asks for; the codes are used up then."
    )


class Replication(WireModel):
    """How far the object store has the auth state."""

    seq: int = Field(ge=0, description="Sequence number of the newest stored base.")
    at: datetime | None = Field(default=None, description="When it was stored.")
    epoch: int | None = Field(default=None, ge=0, description="Newest epoch that the store holds.")


class SessionStatus(WireModel):
    """What is. `epoch`, `assignment`, `next` and `Scheduled` are the operator's; the rest is the holder's."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The generation of spec that this status is about."
    )
    phase: Phase | None = Field(default=None, description="One word for people.")
    epoch: int = Field(
        default=0, ge=0, le=HIGHEST_EPOCH, description="Grows with every assignment and is never used again."
    )
    assignment: Assignment | None = Field(default=None, description="The worker that may run the session now.")
    next: Successor | None = Field(default=None, description="A successor that prepares itself for a planned move.")
    handover: Handover | None = Field(default=None, description="The exact state with which the last holder let go.")
    pairing: PairingStatus | None = Field(default=None, description="What the phone needs to link the device.")
    jid: str | None = Field(default=None, max_length=128, description="The linked device's address at WhatsApp.")
    phone_number: str | None = Field(default=None, max_length=20, description="The linked phone's number.")
    push_name: str | None = Field(default=None, max_length=128, description="The name that contacts see.")
    last_connected_at: datetime | None = Field(default=None, description="When it was last seen connected.")
    replication: Replication | None = Field(default=None, description="How far the object store has the auth state.")
    migrations: int = Field(default=0, ge=0, description="How many times it moved to another worker.")
    failed_starts: FailedStarts | None = Field(
        default=None, description="Starts that ended with the loss of the worker; for the operator's next leader."
    )
    conditions: list[Condition] = Field(
        default_factory=list[Condition],
        description="Scheduled, Paired, Connected, Replicated, Ready, Reconciling, Stalled.",
    )

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of that type, if it is there."""
        return find_condition(self.conditions, kind)

    def is_true(self, kind: ConditionType) -> bool:
        """Whether the condition of that type is there and True."""
        condition = self.condition(kind)
        return condition is not None and condition.status == "True"


class WhatsAppSession(WireModel):
    """A WhatsApp session: declared in `spec`, run by the connector that `status.assignment` names."""

    api_version: Literal["whatsam.io/v1alpha1"] = "whatsam.io/v1alpha1"
    kind: Literal["WhatsAppSession"] = "WhatsAppSession"
    metadata: ObjectMeta
    spec: SessionSpec
    status: SessionStatus = Field(default_factory=SessionStatus)
