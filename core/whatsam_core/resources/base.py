"""What every resource model shares: camelCase on the wire, snake_case in Python, tolerant of unknown fields.

Unknown fields are dropped on reading because a newer operator may have written them; nobody ever writes a whole object
back, only patches of what they own, so dropping loses nothing.
"""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class WireModel(BaseModel):
    """Base of everything that travels to or from the Kubernetes API."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    def to_wire(self) -> dict[str, Any]:
        """The JSON object as the API server takes it: camelCase, no nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_wire(cls, value: dict[str, Any]) -> Self:
        """Read an object as the API server gives it. Raises `pydantic.ValidationError` when it breaks the schema."""
        return cls.model_validate(value)


class OwnerReference(WireModel):
    """One entry of `metadata.ownerReferences`."""

    api_version: str = Field(alias="apiVersion")
    kind: str
    name: str
    uid: str


class ObjectMeta(WireModel):
    """The part of `metadata` that Whatsam reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list[str])
    owner_references: list[OwnerReference] = Field(default_factory=list[OwnerReference])
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """`(namespace, name)`: how an object is called, whichever life (uid) of it."""
        return (self.namespace, self.name)

    @property
    def version(self) -> int:
        """`resourceVersion` as a number; those of one kind can be compared (KEP-5504; true of every release before)."""
        return int(self.resource_version or 0)

    @property
    def deleting(self) -> bool:
        """Somebody asked for the deletion; finalizers still hold the object."""
        return self.deletion_timestamp is not None
