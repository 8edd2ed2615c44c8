"""A certificate authority of the simulator's own, and a server certificate for the hosts that clients dial.

Both are made once per state directory, so that clients may stay while the simulator is restarted.
"""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOSTS = ("web.whatsapp.com", "*.whatsapp.com", "*.whatsapp.net", "*.cdn.whatsapp.net", "localhost")
VALID_DAYS = 365


def prepare(directory: Path, now: datetime.datetime) -> tuple[Path, ssl.SSLContext]:
    """The CA's file and the server's TLS context; makes `ca.pem` and `server.pem` where they are missing."""
    directory.mkdir(parents=True, exist_ok=True)
    authority, server = directory / "ca.pem", directory / "server.pem"
    if not (authority.exists() and server.exists()):
        _make(authority, server, now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    return authority, context


def _make(authority: Path, server: Path, now: datetime.datetime) -> None:
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name, name = _name("Whatsam simulator CA"), _name("web.whatsapp.com")
    certificate = (
        _builder(authority_name, authority_name, authority_key.public_key(), now, authority=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    leaf = (
        _builder(name, authority_name, key.public_key(), now, authority=False)
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(server, private + leaf.public_bytes(serialization.Encoding.PEM))
    _write(authority, certificate.public_bytes(serialization.Encoding.PEM))
    authority.chmod(0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, *, authority: bool
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
