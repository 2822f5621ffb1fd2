"""An authority of our own, which signs the certificate of a server on this machine."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An authority for tests")])


class Authority:
    """Files in a folder: `authority` (who is trusted), `certificate` and `key` of 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.certificate, self.key = (folder / f"{name}.pem" for name in ("ca", "server", "key"))
        self._own = ec.generate_private_key(ec.SECP256R1())
        signed = _signed(_NAME, self._own.public_key(), self._own, x509.BasicConstraints(ca=True, path_length=0))
        self.authority.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        certificate, key = self.signed()
        self.certificate.write_bytes(certificate)
        self.key.write_bytes(key)

    def signed(self) -> tuple[bytes, bytes]:
        """Another certificate of 127.0.0.1, and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        server = _signed(x509.Name([]), key.public_key(), self._own, here)
        pem = serialization.Encoding.PEM
        written = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return server.public_bytes(pem), written


def _signed(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, by: ec.EllipticCurvePrivateKey, says: x509.ExtensionType
) -> x509.Certificate:
    now = datetime.now(UTC)
    authority = x509.SubjectKeyIdentifier.from_public_key(by.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_NAME)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(says, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority), critical=False)
        .sign(by, hashes.SHA256())
    )
