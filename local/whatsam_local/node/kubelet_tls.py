"""TLS of the kubelet API: a certificate of its own, and the one authority whose clients may call."""

import datetime
import ipaddress
import os
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALIDITY = datetime.timedelta(days=3650)


def make_certificate(name: str, address: str, now: datetime.datetime) -> tuple[bytes, bytes]:
    """A self-signed certificate for a node's address, and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem), private


def server_context(state: Path, name: str, address: str, client_authority: Path) -> ssl.SSLContext:
    """The server's settings. Only holders of a certificate of `client_authority` get in: the API server, nobody else.

    The authority must be one of its own: the cluster's would let every client certificate of the cluster in.
    """
    certificate, key = state / "kubelet.crt", state / "kubelet.key"
    made, private = make_certificate(name, address, datetime.datetime.now(datetime.UTC))
    certificate.write_bytes(made)
    key.unlink(missing_ok=True)
    with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - by descriptor
        file.write(private)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(client_authority)
    return tls
