"""The parts of the cluster and their configuration."""

import json
import re
from pathlib import Path

import pytest

from whatsam_local import catalog
from whatsam_local.credentials import Credentials
from whatsam_local.install import configuration
from whatsam_local.layout import Layout
from whatsam_local.plan import Plan

SECRET_FIELDS = ("database_password", "database_admin_password", "redis_password", "s3_secret_key", "jwt_secret")


def site(simulator: bool = True) -> catalog.Site:
    program = Path("/programs/one")
    return catalog.Site(
        layout=Layout(Path("/checkout"), Path("/checkout/.local")),
        programs=catalog.Programs(program, program, program, program, program, program),
        credentials=Credentials.make(),
        environment={"PATH": "/bin"},
        doors=((7, "10.88.0.1:443"), (9, "10.88.0.1:6379")),
        simulator=simulator,
        images=Path("/checkout/.local/state/images.json"),
        node="process-node-1",
    )


@pytest.mark.parametrize("simulator", [True, False])
def test_every_part_waits_only_for_parts_that_exist_and_start_before_it(simulator: bool):
    before: set[str] = set()
    for part in catalog.parts(site(simulator)):
        assert set(part.after) <= before, part.name
        assert part.name not in before
        before.add(part.name)


def test_whatsapp_needs_a_way_out_and_no_simulator():
    names = {part.name for part in catalog.parts(site(simulator=False))}
    assert "egress" in names
    assert "simulator" not in names
    inside = {part.name for part in catalog.parts(site()) if part.outside}
    assert not inside


def test_no_secret_is_on_a_command_line():
    where = site()
    secrets = [getattr(where.credentials, name) for name in SECRET_FIELDS]
    for part in catalog.parts(where):
        shown = " ".join([*part.argv, *(word for step in part.prepare for word in step.argv)])
        assert not [secret for secret in secrets if secret in shown], part.name


def test_no_port_is_taken_twice():
    taken: dict[str, str] = {}
    for part in catalog.parts(site()):
        for port in re.findall(r"-[a-z0-9.-]*port[a-z.]*=(\d+)", " ".join(part.argv)):
            if port != "0":
                assert port not in taken, f"{part.name} and {taken[port]}"
                taken[port] = part.name
    assert "8333" in taken


def test_a_relay_inherits_its_doors_and_nobody_else_does():
    for part in catalog.parts(site()):
        assert part.descriptors == ((7, 9) if part.name == "relay" else ())


def test_a_plan_survives_being_written():
    where = site()
    plan = Plan(
        id="1",
        checkout="/checkout",
        logs="/l",
        run="/r",
        markers="/m",
        network=catalog.NETWORK,
        ip_program="/sbin/ip",
        resolver=catalog.HOST,
        parts=catalog.parts(where),
    )
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_the_object_store_and_valkey_know_the_generated_credentials():
    where = site()
    text = json.dumps(catalog.s3_configuration(where))
    assert where.credentials.s3_access_key in text
    assert where.credentials.s3_secret_key in text
    assert f"requirepass {where.credentials.redis_password}\n" in catalog.valkey_configuration(where)


def test_secrets_reach_pods_only_in_secrets():
    credentials = Credentials.make()
    secrets = [getattr(credentials, name) for name in SECRET_FIELDS if name != "database_admin_password"]
    objects = configuration(credentials)
    plain = json.dumps([each for each in objects if each["kind"] != "Secret"])
    hidden = json.dumps([each for each in objects if each["kind"] == "Secret"])
    for secret in secrets:
        assert secret not in plain
        assert secret in hidden
    assert credentials.database_admin_password not in hidden


def test_credentials_are_made_once_and_kept(tmp_path: Path):
    file = tmp_path / "credentials.json"
    first = Credentials.load_or_make(file)
    assert Credentials.load_or_make(file) == first
    assert file.stat().st_mode & 0o077 == 0
    assert Credentials.make() != first
