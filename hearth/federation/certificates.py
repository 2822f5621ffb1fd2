"""Certificates and node keys of a federation on one machine. One that is there is never made anew."""

import ipaddress
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from feature_store.durable import create
from feature_store.errors import BadInput

_YEARS = timedelta(days=3650)
_SKEW = timedelta(hours=1)  # of clocks


def ensure_authority(certificate: Path, key: Path) -> None:
    """The authority of one federation: who trusts its certificate trusts those that it signs."""
    if _is_there(certificate, key):
        return
    private = ec.generate_private_key(ec.SECP384R1())
    name = _name("the authority of a Hearth federation")
    signed = (
        _builder(name, name, private)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, SHA256())
    )
    _keep(certificate, signed, key, private)


def ensure_certificate(
    certificate: Path, key: Path, authority: Path, authority_key: Path, hosts: Sequence[str] = ()
) -> None:
    """A certificate of this machine's loopback addresses, and of those hosts, signed by the authority."""
    if _is_there(certificate, key):
        return
    issuer = x509.load_pem_x509_certificate(authority.read_bytes())
    issuer_key = load_pem_private_key(authority_key.read_bytes(), password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise BadInput(f"{authority_key} holds a {type(issuer_key).__name__}; the authority's is an elliptic curve's")
    private = ec.generate_private_key(ec.SECP384R1())
    names = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
        *map(_host, hosts),
    ]
    signed = (
        _builder(_name("localhost"), issuer.subject, private)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, SHA256())
    )
    _keep(certificate, signed, key, private)


def ensure_node_key(private_key: Path, public_key: Path) -> bytes:
    """A SuperNode's key pair in OpenSSH's form, on the curve P-384; the public half."""
    if not _is_there(public_key, private_key):
        private = ec.generate_private_key(ec.SECP384R1())
        create(private_key, private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), mode=0o600)
        create(public_key, private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n")
    return public_key.read_bytes()


def ensure_secret(path: Path) -> None:
    """Sixty-four characters that nobody can guess, for their owner alone to read."""
    if not path.exists():
        create(path, secrets.token_hex(32).encode(), mode=0o600)


def _is_there(public: Path, private: Path) -> bool:
    """Whether both halves are; raises `BadInput` for one alone, which would be made anew for nobody's good."""
    if public.exists() != private.exists():
        one, other = (public, private) if public.exists() else (private, public)
        raise BadInput(f"{one} is there and {other} is not; bring it back, or remove the one that is left")
    public.parent.mkdir(parents=True, exist_ok=True)
    return public.exists()


def _builder(subject: x509.Name, issuer: x509.Name, private: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _YEARS)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _keep(certificate: Path, signed: x509.Certificate, key: Path, private: ec.EllipticCurvePrivateKey) -> None:
    create(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    create(certificate, signed.public_bytes(Encoding.PEM))
