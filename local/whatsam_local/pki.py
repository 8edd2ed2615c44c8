"""Keys and certificates of the local control plane, made afresh for every cluster. Called by `up`.

Two authorities: one for the cluster, one for the API server's client certificate at the kubelet API, because the
first would let every client of the cluster into the kubelet. Python 3.13 refuses an authority without keyUsage and
leaves without an authority key identifier, so both are there.
"""

import base64
import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from whatsam_local.layout import private_directory, write_atomically

_VALID = datetime.timedelta(days=3650)
_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True)
class Identity:
    """A client of the API server: its user name and groups, as the certificate's subject says them."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_pki(directory: Path, server_addresses: tuple[str, ...], clients: dict[str, Identity]) -> None:
    """Write the authorities' and all pairs' `<name>.crt` and `<name>.key`, and sa.{key,pub}.

    Names: ca, apiserver, kubelet-client-ca, kubelet-client, and those of `clients`.
    """
    private_directory(directory)
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)  # clocks of other machines in a test
    authority = _authority("whatsam-local", now)
    _write(directory, "ca", authority, with_key=False)
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _SERVER_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in server_addresses]
    server = _leaf(authority, Identity("kube-apiserver"), now, ExtendedKeyUsageOID.SERVER_AUTH, names)
    _write(directory, "apiserver", server)
    for file, identity in clients.items():
        _write(directory, file, _leaf(authority, identity, now, ExtendedKeyUsageOID.CLIENT_AUTH))
    kubelet_authority = _authority("whatsam-local-kubelet-client", now)
    _write(directory, "kubelet-client-ca", kubelet_authority, with_key=False)
    kubelet_client = _leaf(
        kubelet_authority, Identity("kube-apiserver-kubelet-client"), now, ExtendedKeyUsageOID.CLIENT_AUTH
    )
    _write(directory, "kubelet-client", kubelet_client)
    # RSA, because that is what service-account issuers use everywhere else.
    accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_atomically(directory / "sa.key", _private(accounts))
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # Last: its existence says that the rest is complete.
    write_atomically(directory / "sa.pub", public.decode())


def pki_complete(directory: Path) -> bool:
    """Whether `make_pki` ran to its end there."""
    return (directory / "sa.pub").exists()


def write_kubeconfig(path: Path, directory: Path, client: str, server: str, namespace: str, *, embedded: bool) -> None:
    """A kubeconfig for one client. `embedded`: it contains its certificates, so that it may be copied anywhere."""

    def part(field: str, file: str) -> dict[str, str]:
        if embedded:
            return {f"{field}-data": base64.b64encode((directory / file).read_bytes()).decode()}
        return {field: str(directory / file)}

    name = "whatsam-local"
    user = part("client-certificate", f"{client}.crt") | part("client-key", f"{client}.key")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server} | part("certificate-authority", "ca.crt")}],
        "users": [{"name": client, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": client, "namespace": namespace}}],
        "current-context": name,
    }
    write_atomically(path, yaml.safe_dump(config, sort_keys=False))


def _authority(name: str, now: datetime.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _leaf(
    authority: _Pair,
    identity: Identity,
    now: datetime.datetime,
    purpose: x509.ObjectIdentifier,
    names: list[x509.GeneralName] | None = None,
) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, identity.name)])
    issuer = authority.certificate
    builder = (
        _builder(subject, issuer.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + _VALID)
    )


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _write(directory: Path, name: str, pair: _Pair, with_key: bool = True) -> None:
    text = pair.certificate.public_bytes(serialization.Encoding.PEM).decode()
    write_atomically(directory / f"{name}.crt", text)
    if with_key:
        write_atomically(directory / f"{name}.key", _private(pair.key))
