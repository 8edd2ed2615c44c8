"""The CRDs are what the models say, and structural."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from whatsam_core import crd
from whatsam_core.crd_rules import FIELD_RULES, OBJECT_RULES, POOL, RESOURCES, SESSION
from whatsam_core.crd_schema import SchemaError, structural
from whatsam_core.resources import PoolSpec, SessionSpec, WireModel

ROOT = Path(__file__).resolve().parents[3]
Schema = dict[str, Any]


def schema_of(resource: Any) -> Schema:
    return crd.definition(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


SCHEMAS = {resource.kind: schema_of(resource) for resource in RESOURCES}


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], f"{path}[]")


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.plural)
def test_the_files_are_what_the_models_say(resource: Any) -> None:
    written = (ROOT / "crds" / f"{resource.plural}.yaml").read_text(encoding="utf-8")
    assert written == crd.render(resource), "run `make crds` and commit crds/"


def test_main_writes_every_file(tmp_path: Path) -> None:
    assert crd.main([str(tmp_path / "new")]) == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"whatsappsessions.yaml", "workerpools.yaml"}
    assert crd.main([]) == 2


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.plural)
def test_schemas_are_structural(resource: Any) -> None:
    for path, schema in walk(SCHEMAS[resource.kind]):
        assert not {"$ref", "allOf", "oneOf", "title", "const", "$defs"} & set(schema), path
        if schema.get("x-kubernetes-int-or-string"):
            assert "type" not in schema, path
        else:
            assert "type" in schema, path
            assert "anyOf" not in schema, path
        assert not {"properties", "additionalProperties"} <= set(schema), path
        if schema["type"] == "array" if "type" in schema else False:
            assert "items" in schema, path


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.plural)
def test_unknown_fields_are_kept_only_where_a_pod_is_described(resource: Any) -> None:
    kept = [path for path, schema in walk(SCHEMAS[resource.kind]) if schema.get("x-kubernetes-preserve-unknown-fields")]
    assert kept == ([] if resource is SESSION else [".spec.template.env[].valueFrom", ".spec.template.affinity"])


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.plural)
def test_columns_and_selectors_name_fields_that_exist(resource: Any) -> None:
    paths = dict(walk(SCHEMAS[resource.kind]))
    named = [column.json_path for column in resource.columns if "?" not in column.json_path]
    for path in [*named, *resource.selectable]:
        assert path in paths or path.startswith(".metadata."), path
    for path in resource.selectable:
        assert paths[path]["type"] == "string", path


def test_every_rule_is_used_and_says_what_to_do() -> None:
    everything = [rule for rules in (*OBJECT_RULES.values(), *FIELD_RULES.values()) for rule in rules]
    found = [
        entry["message"]
        for resource in RESOURCES
        for _, schema in walk(SCHEMAS[resource.kind])
        for entry in schema.get("x-kubernetes-validations", [])
    ]
    assert sorted(found) == sorted(rule.message for rule in everything)
    assert all(len(rule.message) > 40 for rule in everything)


def test_status_has_no_defaults() -> None:
    for resource in RESOURCES:
        for path, schema in walk(SCHEMAS[resource.kind]["properties"]["status"]):
            assert "default" not in schema, path


def test_the_scale_subresource_is_the_pools() -> None:
    assert crd.definition(POOL)["spec"]["versions"][0]["subresources"]["scale"]["specReplicasPath"] == ".spec.replicas"
    assert "scale" not in crd.definition(SESSION)["spec"]["versions"][0]["subresources"]


def filled(schema: Schema, value: Any) -> Any:
    """What the API server makes of a value: the defaults of missing fields, level by level."""
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name not in value and "default" in inner:
                value = {**value, name: inner["default"]}
            if name in value:
                value = {**value, name: filled(inner, value[name])}
    return value


@given(
    spec=st.fixed_dictionaries(
        {"tenant": st.just("acme")},
        optional={
            "poolRef": st.just({}),
            "pairing": st.sampled_from([{}, {"method": "QR"}, {"method": "Code", "phoneNumber": "491511000001"}]),
            "history": st.sampled_from([{}, {"enabled": True}]),
            "desiredState": st.sampled_from(["Running", "Stopped"]),
        },
    )
)
def test_the_api_servers_defaults_are_the_models(spec: Schema) -> None:
    schema = SCHEMAS[SESSION.kind]["properties"]["spec"]
    assert SessionSpec.from_wire(filled(schema, spec)) == SessionSpec.from_wire(spec)


def test_the_pools_default_is_the_models() -> None:
    schema = SCHEMAS[POOL.kind]["properties"]["spec"]
    assert PoolSpec.from_wire(schema["default"]) == PoolSpec()
    assert PoolSpec.from_wire(filled(schema, {})) == PoolSpec()


def test_a_union_is_refused_by_name() -> None:
    class Strange(WireModel):
        """A model."""

        either: int | str = Field(default=1, description="One of two.")

    with pytest.raises(SchemaError, match=r"Strange\.either: a union of 2 types"):
        structural(Strange)


def test_a_field_without_a_description_is_refused_by_name() -> None:
    class Silent(WireModel):
        """A model."""

        field: int = 1

    with pytest.raises(SchemaError, match=r"Silent\.field: write a description"):
        structural(Silent)


def test_a_constraint_that_is_not_known_is_refused_instead_of_lost() -> None:
    class Strict(WireModel):
        """A model."""

        even: int = Field(default=2, multiple_of=2, description="An even number.")

    with pytest.raises(SchemaError, match=r"Strict\.even: multipleOf is not translated"):
        structural(Strict)


@pytest.mark.parametrize("sample", sorted((ROOT / "manifests/samples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_samples_fit_the_models(sample: Path) -> None:
    for document in yaml.safe_load_all(sample.read_text(encoding="utf-8")):
        model = {one.kind: one.model for one in RESOURCES}[document["kind"]]
        model.from_wire(document)
