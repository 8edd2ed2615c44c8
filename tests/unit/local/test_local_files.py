"""Files that `up` writes: environment, keys, doors, image table."""

import json
import socket
import subprocess
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from whatsam_local import doors, envfile, images, pki
from whatsam_local.credentials import Credentials
from whatsam_local.down import remove
from whatsam_local.layout import Layout, write_atomically


def layout(root: Path) -> Layout:
    return Layout(root, root / ".local")


def test_the_environment_file_says_the_same_to_a_shell_and_to_us(tmp_path: Path):
    where = layout(tmp_path / "a 'place' with $signs")
    where.root.mkdir(parents=True)
    ports = {"api": 1, "s3": 2, "postgres": 3, "valkey": 4, "simulator": 5, "apiserver": 6}
    credentials = Credentials.make()
    envfile.write(where, credentials, ports)
    expected = envfile.variables(where, credentials, ports)
    assert envfile.read(where.env_file.read_text()) == expected
    said = subprocess.run(
        ["sh", "-c", '. "$0"; env -0', str(where.env_file)],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    ).stdout.decode()
    heard = dict(line.split("=", 1) for line in said.split("\0") if line)
    assert expected.items() <= heard.items()
    assert where.env_file.stat().st_mode & 0o077 == 0


def test_without_a_simulator_its_url_is_left_out(tmp_path: Path):
    found = envfile.variables(layout(tmp_path), Credentials.make(), {"api": 1, "s3": 2, "postgres": 3, "valkey": 4})
    assert "WHATSAM_SIMULATOR_URL" not in found


def test_leaves_are_signed_by_their_authority_and_good_for_one_purpose(tmp_path: Path):
    pki.make_pki(tmp_path, ("10.96.0.1", "127.0.0.1"), {"admin": pki.Identity("admin", ("system:masters",))})
    assert pki.pki_complete(tmp_path)

    def load(name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((tmp_path / f"{name}.crt").read_bytes())

    authority, kubelet_authority = load("ca"), load("kubelet-client-ca")
    assert authority.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    for name, issuer, purpose in (
        ("apiserver", authority, ExtendedKeyUsageOID.SERVER_AUTH),
        ("admin", authority, ExtendedKeyUsageOID.CLIENT_AUTH),
        ("kubelet-client", kubelet_authority, ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        leaf = load(name)
        leaf.verify_directly_issued_by(issuer)
        assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]
        assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        assert (tmp_path / f"{name}.key").stat().st_mode & 0o077 == 0
    names = load("apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(address) for address in names.get_values_for_type(x509.IPAddress)} == {"10.96.0.1", "127.0.0.1"}
    # Whoever holds an authority's key can become anybody: neither is written at all.
    assert not list(tmp_path.glob("*ca.key"))


def test_a_kubeconfig_for_the_machine_can_be_copied_anywhere(tmp_path: Path):
    pki.make_pki(tmp_path, ("127.0.0.1",), {"admin": pki.Identity("admin")})
    pki.write_kubeconfig(tmp_path / "config", tmp_path, "admin", "https://127.0.0.1:1", "whatsam", embedded=True)
    text = (tmp_path / "config").read_text()
    assert str(tmp_path) not in text
    assert yaml.safe_load(text)["contexts"][0]["context"]["namespace"] == "whatsam"


def test_doors_keep_their_ports_while_these_are_free(tmp_path: Path):
    file = tmp_path / "doors.json"
    first = doors.open_doors(file, ("apiserver", "api"))
    ports = [door.port for door in first]
    for door in first:
        door.listener.close()
    again = doors.open_doors(file, ("apiserver", "api"))
    assert [door.port for door in again] == ports
    # Those are taken now: a third cluster gets others, instead of a failure.
    third = doors.open_doors(file, ("apiserver", "api"))
    assert not {door.port for door in third} & set(ports)
    for door in [*again, *third]:
        door.listener.close()


def test_doors_are_for_this_machine_only(tmp_path: Path):
    (door,) = doors.open_doors(tmp_path / "doors.json", ("s3",))
    with door.listener:
        assert door.listener.getsockname()[0] == "127.0.0.1"
        assert door.listener.family == socket.AF_INET


def test_unreadable_memory_of_ports_is_no_memory(tmp_path: Path):
    for text in ("", "[]", "{", '{"a": "b"}'):
        (tmp_path / "doors.json").write_text(text)
        assert doors.read_ports(tmp_path / "doors.json") == {}


def test_the_image_table_sends_engines_and_nobody_else_to_the_simulator(tmp_path: Path):
    table = images.table(layout(tmp_path), "/bin", {"HTTPS_PROXY": "http://10.88.0.1:9181"})
    assert set(table) == {"whatsam/operator", "whatsam/api", "whatsam/connector"}
    for name, image in table.items():
        environment = image["env"]
        assert isinstance(environment, dict)
        assert "HTTPS_PROXY" not in environment
        engine = json.loads(environment.get("WHATSAM_ENGINE_ENV", "{}"))
        assert ("WHATSAM_ENGINE_PROGRAM" in environment) == (name == "whatsam/connector")
        assert engine == ({"HTTPS_PROXY": "http://10.88.0.1:9181"} if name == "whatsam/connector" else {})


def test_a_kill_while_writing_leaves_the_old_file(tmp_path: Path):
    file = tmp_path / "file"
    write_atomically(file, "old")
    write_atomically(file, "new")
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_trees_with_closed_directories_can_be_removed(tmp_path: Path):
    closed = tmp_path / "tree" / "work" / "work"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    (tmp_path / "tree" / "link").symlink_to("/nowhere")
    closed.chmod(0)
    remove(tmp_path / "tree")
    remove(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
