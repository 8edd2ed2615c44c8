"""From a pydantic model to the structural schema that a CustomResourceDefinition needs.

Pydantic speaks JSON Schema with references, unions and titles; the API server wants one tree, no `anyOf` with null, and
a type everywhere. Whatever this cannot translate is refused by name, so that a model never loses a constraint in
silence. Called by `crd`.
"""

from collections.abc import Mapping
from typing import Any, Final, cast, get_args, get_origin

from pydantic.fields import FieldInfo

from whatsam_core.crd_rules import FIELD_RULES, OBJECT_RULES, Rule
from whatsam_core.errors import WhatsamError
from whatsam_core.resources import (
    PoolSpec,
    PoolStatus,
    PoolTemplate,
    SessionStatus,
    Webhook,
    WireModel,
)

Schema = dict[str, Any]


class SchemaError(WhatsamError):
    """A model uses something that a structural schema cannot say; the text names the place."""


_KEPT: Final = frozenset(
    {
        "type",
        "format",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
    }
)
_DROPPED: Final = frozenset({"title", "description", "default", "const", "examples"})
"""`description` and `default` are taken from the field, not from the referenced type; `const` becomes an enum."""
_HANDLED: Final = frozenset({"$ref", "$defs", "anyOf", "allOf", "items", "properties", "required"})

_FREE_FORM: Final[Schema] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""Only for parts of a pod that the API server checks again when the pod is made."""
_QUANTITIES: Final[Schema] = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)"
        r"|(\.[0-9]+))))?$",
    },
}
"""CPU and memory, as in a container: `500m`, `1Gi`, 2. The pattern is the one of `resource.Quantity`."""
_TOLERATION: Final[Schema] = {
    "type": "object",
    "properties": {
        "key": {"type": "string", "description": "The taint's key; empty with operator Exists means every taint."},
        "operator": {"type": "string", "enum": ["Exists", "Equal"], "description": "Equal unless given."},
        "value": {"type": "string", "description": "The taint's value."},
        "effect": {
            "type": "string",
            "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
            "description": "The effect that is borne; all of them unless given.",
        },
        "tolerationSeconds": {
            "type": "integer",
            "format": "int64",
            "description": "How long NoExecute is borne; for ever unless given.",
        },
    },
}

_OVERRIDES: Final[dict[tuple[type[WireModel], str], Schema]] = {
    (PoolTemplate, "resources"): {
        "type": "object",
        "properties": {
            "requests": {**_QUANTITIES, "description": "What the scheduler sets aside for a pod."},
            "limits": {**_QUANTITIES, "description": "What a pod may use at most."},
        },
    },
    (PoolTemplate, "tolerations"): {
        "type": "array",
        "maxItems": 50,
        "items": _TOLERATION,
        "x-kubernetes-list-type": "atomic",
    },
    # Kept free: their models in Kubernetes are hundreds of lines, and the API server checks them in the Deployment.
    (PoolTemplate, "affinity"): _FREE_FORM,
}
_LISTS: Final[dict[tuple[type[WireModel], str], Schema]] = {
    (SessionStatus, "conditions"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    (PoolStatus, "conditions"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    (PoolStatus, "workers"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["podUID"]},
    (PoolTemplate, "env"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    (Webhook, "events"): {"x-kubernetes-list-type": "set"},
}
_WITHOUT_DEFAULTS: Final = (SessionStatus, PoolStatus)
"""Status says what was seen; a default would say what nobody saw."""
_INT32: Final = frozenset({(PoolSpec, "replicas"), (PoolStatus, "replicas")})
"""The scale subresource speaks int32."""


def structural(model: type[WireModel], *, defaults: bool = True) -> Schema:
    """The schema of one model and everything below it, with its rules. Raises `SchemaError`."""
    raw = model.model_json_schema(by_alias=True)
    definitions = cast("Schema", raw.get("$defs", {}))
    defaults = defaults and model not in _WITHOUT_DEFAULTS
    properties: Schema = {}
    required: list[str] = []
    for name, field in model.model_fields.items():
        wire = field.alias or name
        properties[wire] = _field(
            model, name, field, raw=raw["properties"][wire], definitions=definitions, defaults=defaults
        )
        if field.is_required():
            required.append(wire)
    schema: Schema = {"description": _text(model.__doc__), "type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {**schema, **validations(OBJECT_RULES.get(model, ()))}


def _field(
    model: type[WireModel], name: str, field: FieldInfo, *, raw: Schema, definitions: Schema, defaults: bool
) -> Schema:
    where = f"{model.__name__}.{name}"
    rules = FIELD_RULES.get((model, name), ())
    override = _OVERRIDES.get((model, name))
    nested = _model_of(field.annotation, in_lists=False)
    if override is not None:
        schema = dict(override)
    elif nested is not None:
        schema = structural(nested, defaults=defaults)
    else:
        schema = _translate(where, raw, definitions, field.annotation, defaults)
    if not field.description:
        raise SchemaError(f"{where}: write a description, kubectl explain shows it")
    pattern = schema.get("pattern")
    if rules and pattern is not None:
        # A rule's message says what to do, a pattern's says only that it did not match; one of them is enough.
        if not any(pattern in rule.rule for rule in rules):
            raise SchemaError(f"{where}: its rule does not cover its pattern {pattern}")
        del schema["pattern"]
    schema = {"description": field.description, **{key: value for key, value in schema.items() if key != "description"}}
    if defaults:
        schema |= default_of(field)
    if (model, name) in _INT32:
        schema["format"] = "int32"
    return {**schema, **_LISTS.get((model, name), {}), **validations(rules, schema)}


def default_of(field: FieldInfo) -> Schema:
    """`default` of a field, when it has one that says more than "nothing".

    The default of an object is written out in full: the API server asks an object's rules about its default before it
    fills in the defaults of the fields.
    """
    if field.is_required():
        return {}
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, WireModel):
        value = _without_empty(value.to_wire())
    return {} if value in (None, [], {}) else {"default": getattr(value, "value", value)}


def _without_empty(value: Schema) -> Schema:
    trimmed = {key: _without_empty(inner) if isinstance(inner, dict) else inner for key, inner in value.items()}
    return {key: inner for key, inner in trimmed.items() if inner not in ([], {})}


def _translate(where: str, raw: Schema, definitions: Schema, annotation: Any, defaults: bool) -> Schema:
    if "$ref" in raw:
        raw = {**definitions[raw["$ref"].rsplit("/", 1)[-1]], **{k: v for k, v in raw.items() if k != "$ref"}}
    if "anyOf" in raw:
        options = [option for option in raw["anyOf"] if option.get("type") != "null"]
        if len(options) != 1:
            raise SchemaError(f"{where}: a union of {len(options)} types has no structural form")
        raw = {**options[0], **{k: v for k, v in raw.items() if k != "anyOf"}}
        return _translate(where, raw, definitions, annotation, defaults)
    if unknown := set(raw) - _KEPT - _DROPPED - _HANDLED - {"additionalProperties"}:
        raise SchemaError(f"{where}: {', '.join(sorted(unknown))} is not translated")
    schema = {key: value for key, value in raw.items() if key in _KEPT}
    if "const" in raw:
        schema["enum"] = [raw["const"]]
    if raw.get("type") == "array":
        inner = _model_of(annotation, in_lists=True)
        schema["items"] = (
            structural(inner, defaults=defaults)
            if inner is not None
            else _translate(f"{where}[]", raw["items"], definitions, None, defaults)
        )
    elif raw.get("type") == "object":
        values = raw.get("additionalProperties")
        if values is True:
            return dict(_FREE_FORM)
        if not isinstance(values, Mapping):
            raise SchemaError(f"{where}: an object needs a model or the type of its values")
        schema["additionalProperties"] = _translate(f"{where}{{}}", cast("Schema", values), definitions, None, defaults)
    elif "type" not in schema:
        raise SchemaError(f"{where}: has no type")
    return schema


def _model_of(annotation: Any, *, in_lists: bool) -> type[WireModel] | None:
    """The resource model within `Model` or `Model | None`, and within `list[Model]` when asked."""
    if get_origin(annotation) is list and not in_lists:
        return None
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        return annotation
    for inner in get_args(annotation):
        if (found := _model_of(inner, in_lists=in_lists)) is not None:
            return found
    return None


def validations(rules: tuple[Rule, ...], schema: Schema | None = None) -> Schema:
    """`x-kubernetes-validations` with what `schema` has already and these rules; nothing when there are none."""
    entries: list[Schema] = list((schema or {}).get("x-kubernetes-validations", []))
    for rule in rules:
        entry = {"rule": rule.rule, "message": rule.message}
        if rule.field_path is not None:
            entry["fieldPath"] = rule.field_path
        entries.append(entry)
    return {"x-kubernetes-validations": entries} if entries else {}


def _text(docstring: str | None) -> str:
    return " ".join((docstring or "").split())
