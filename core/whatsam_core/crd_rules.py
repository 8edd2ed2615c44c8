"""What the CRDs say beyond the types: rules in CEL, and how kubectl lists and selects the objects.

Rules sit where nobody escapes them: what compares with the past is at the root, because a rule on a field is not asked
when the field is removed. Each message says what to do. `crd` puts them into the generated files.
"""

from dataclasses import dataclass
from typing import Final

from whatsam_core import names
from whatsam_core.resources import (
    DNS_LABEL,
    LARGEST_NEONIZE_COHORT,
    Autoscaling,
    Engine,
    Failover,
    Pairing,
    PoolRef,
    PoolSpec,
    PoolTemplate,
    Rebalance,
    SessionSpec,
    Webhook,
    WhatsAppSession,
    WireModel,
    WorkerPool,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `x-kubernetes-validations`."""

    rule: str
    """CEL; `self` is the value, `oldSelf` the one before."""
    message: str
    """For the person whose object is refused: what to do."""
    field_path: str | None = None
    """The field that is to blame, relative to the rule's place."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `wide` ones only with `-o wide`."""

    name: str
    json_path: str
    description: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One custom resource: its names, and how kubectl shows it."""

    model: type[WireModel]
    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    scale: bool = False


_OLD_EPOCH: Final = "(has(oldSelf.status) && has(oldSelf.status.epoch) ? oldSelf.status.epoch : 0)"
_SAME_BOOT: Final = (
    "has(oldSelf.status) && has(oldSelf.status.assignment) "
    "&& self.status.assignment.podUID == oldSelf.status.assignment.podUID "
    "&& self.status.assignment.bootId == oldSelf.status.assignment.bootId"
)
_RESERVED_ENVIRONMENT: Final = (
    "WHATSAM_POOL",
    "WHATSAM_POOL_UID",
    "WHATSAM_POD_NAME",
    "WHATSAM_POD_UID",
    "WHATSAM_POD_IP",
    "WHATSAM_NAMESPACE",
    "WHATSAM_ENGINE",
)
"""What the operator sets in every connector: a pool that could change it could speak for another pod."""

OBJECT_RULES: Final[dict[type[WireModel], tuple[Rule, ...]]] = {
    WhatsAppSession: (
        Rule(
            "size(self.metadata.name) <= 63",
            "the name of a session may have at most 63 characters: choose a shorter metadata.name",
        ),
        Rule(
            "self.spec.tenant == oldSelf.spec.tenant",
            "tenant cannot be changed: delete this session and create another one for the other tenant",
            ".spec.tenant",
        ),
        Rule(
            "!has(oldSelf.status) || !has(oldSelf.status.assignment) "
            "|| self.spec.poolRef.name == oldSelf.spec.poolRef.name",
            "a session that a worker holds stays in its pool: set desiredState Stopped, wait until no worker holds it, "
            "then change poolRef and set desiredState Running",
            ".spec.poolRef",
        ),
        Rule(
            f"{_OLD_EPOCH} == 0 || (has(self.status) && has(self.status.epoch) && self.status.epoch >= {_OLD_EPOCH})",
            "epoch never decreases and never disappears: read the session again and write a higher epoch",
            ".status.epoch",
        ),
        Rule(
            "!has(self.status) || !has(self.status.assignment) || (has(self.status.epoch) && self.status.epoch > 0)",
            "an assignment needs an epoch: write status.epoch together with status.assignment",
            ".status.epoch",
        ),
        Rule(
            f"!has(self.status) || !has(self.status.assignment) || ({_SAME_BOOT}) "
            f"|| (has(self.status.epoch) && self.status.epoch > {_OLD_EPOCH})",
            "another worker or boot needs another epoch: write an epoch above the present one with the assignment",
            ".status.epoch",
        ),
    ),
    WorkerPool: (
        Rule(
            f"size(self.metadata.name) <= 50 && self.metadata.name.matches('{DNS_LABEL}')",
            "the name of a pool may have at most 50 lower-case letters, digits and hyphens: choose another "
            "metadata.name",
        ),
    ),
    PoolSpec: (
        Rule(
            f"self.engine != '{Engine.NEONIZE}' || self.cohortSize <= {LARGEST_NEONIZE_COHORT}",
            f"a process of neonize serves {LARGEST_NEONIZE_COHORT} sessions at most: lower cohortSize or choose engine "
            f"{Engine.WHATSMEOW}",
            ".cohortSize",
        ),
    ),
    Pairing: (
        Rule(
            "self.method != 'Code' || has(self.phoneNumber)",
            "method Code needs the phone's number: set spec.pairing.phoneNumber, or use method QR",
            ".phoneNumber",
        ),
    ),
    Autoscaling: (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas cannot be more than maxReplicas: lower minReplicas or raise maxReplicas",
            ".minReplicas",
        ),
    ),
    Failover: (
        Rule(
            "self.leaseDuration >= 3 * self.renewPeriod",
            "leaseDuration must be at least three times renewPeriod, else one lost renewal stops a healthy worker: "
            "raise leaseDuration or lower renewPeriod",
            ".leaseDuration",
        ),
    ),
    Rebalance: (
        Rule(
            "self.lowWatermark < self.highWatermark",
            "lowWatermark must be less than highWatermark: otherwise sessions would move to and fro",
            ".lowWatermark",
        ),
    ),
}

FIELD_RULES: Final[dict[tuple[type[WireModel], str], tuple[Rule, ...]]] = {
    (SessionSpec, "tenant"): (
        Rule(
            f"self.matches('{DNS_LABEL}')",
            "tenant may have lower-case letters, digits and hyphens, and starts and ends with a letter or digit",
        ),
    ),
    (PoolRef, "name"): (
        Rule(
            f"self.matches('{DNS_LABEL}')",
            "poolRef.name must be the name of a WorkerPool of this namespace: lower-case letters, digits, hyphens",
        ),
    ),
    (Pairing, "phone_number"): (
        Rule(
            "self.matches('^[1-9][0-9]{5,14}$')",
            "write the phone's number with country code and digits only, without + or leading zeros: 491511000001",
        ),
    ),
    (Webhook, "url"): (
        Rule(
            "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",
            "the webhook's url must start with https:// or http:// and name a host: https://example.com/hook",
        ),
    ),
    (PoolTemplate, "env"): (
        Rule(
            f"!self.exists(variable, variable.name in {list(_RESERVED_ENVIRONMENT)})",
            "the operator sets " + ", ".join(_RESERVED_ENVIRONMENT) + ": remove them from template.env",
        ),
    ),
    (PoolTemplate, "labels"): (
        Rule(
            f"!self.exists(key, key.startsWith('{names.GROUP}/') || key == '{names.LABEL_COMPONENT}')",
            f"labels {names.GROUP}/* and {names.LABEL_COMPONENT} are the operator's: remove them from template.labels",
        ),
    ),
}

SESSION: Final = Resource(
    model=WhatsAppSession,
    kind=names.SESSION_KIND,
    plural=names.SESSION_PLURAL,
    singular="whatsappsession",
    short_names=("was",),
    columns=(
        Column("Phase", ".status.phase", "What the session does."),
        Column("Worker", ".status.assignment.worker", "The connector pod that holds it."),
        Column("Phone", ".status.phoneNumber", "The linked phone's number."),
        Column("Pool", ".spec.poolRef.name", "The pool that runs it."),
        Column("Age", ".metadata.creationTimestamp", "Time since its creation.", "date"),
        Column("Epoch", ".status.epoch", "Number of assignments so far.", "integer", wide=True),
        Column("Migrations", ".status.migrations", "How many times it moved.", "integer", wide=True),
        Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", "Why it is ready or not.", wide=True),
    ),
    selectable=(
        ".spec.poolRef.name",
        ".spec.tenant",
        ".status.assignment.worker",
        ".status.next.worker",
        ".status.phase",
    ),
)
POOL: Final = Resource(
    model=WorkerPool,
    kind=names.POOL_KIND,
    plural=names.POOL_PLURAL,
    singular="workerpool",
    short_names=("wp",),
    columns=(
        Column("Desired", ".spec.replicas", "Workers that are wanted.", "integer"),
        Column("Ready", ".status.readyReplicas", "Workers that take sessions.", "integer"),
        Column("Sessions", ".status.sessions", "Sessions that refer to the pool.", "integer"),
        Column("Capacity", ".status.capacity", "Sessions that the ready workers can hold.", "integer"),
        Column("Age", ".metadata.creationTimestamp", "Time since its creation.", "date"),
        Column("Right", ".status.autoscaling.desired", "Workers that autoscaling finds right.", "integer", wide=True),
        Column("Because", ".status.autoscaling.reason", "What asks for them.", wide=True),
        Column("Engine", ".spec.engine", "The program that speaks to WhatsApp.", wide=True),
        Column("PerWorker", ".spec.sessionsPerWorker", "Sessions a worker holds at most.", "integer", wide=True),
        Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", "Why it is ready or not.", wide=True),
    ),
    scale=True,
)
RESOURCES: Final = (SESSION, POOL)
