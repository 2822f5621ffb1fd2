"""TLS to Redis: through a proxy that speaks it, as the redis-server of our tests was built without."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from feature_store.errors import BadInput, StoreUnavailable
from feature_store.redis_store import open_redis
from tests.feature_store.event_store_contract import an_event
from tests.feature_store.redis_world import RING, settings_for
from tests.redis_proxy import running_proxy
from tests.redis_server import running_redis

pytestmark = pytest.mark.anyio


class Signed(NamedTuple):
    """PEM files of a certificate and its key, and both as they are in memory."""

    certificate: Path
    key: Path
    subject: x509.Certificate
    secret: ec.EllipticCurvePrivateKey


def sign(folder: Path, name: str, authority: Signed | None = None, address: str = "127.0.0.1") -> Signed:
    """A certificate for that address; an authority's own where none is named."""
    secret = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject.subject if authority else subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
    )
    certificate = builder.sign(authority.secret if authority else secret, hashes.SHA256())
    signed = Signed(folder / f"{name}.pem", folder / f"{name}.key", certificate, secret)
    signed.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    signed.key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return signed


async def test_a_server_is_trusted_for_the_authority_that_signed_it_and_no_other(tmp_path: Path) -> None:
    ours, others = sign(tmp_path, "ours"), sign(tmp_path, "others")
    server = sign(tmp_path, "server", ours)
    elsewhere = sign(tmp_path, "elsewhere", ours, "192.0.2.7")
    client, stranger = sign(tmp_path, "client", ours), sign(tmp_path, "stranger", others)

    def tls(certificate: Signed) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ours.certificate)
        context.load_cert_chain(certificate.certificate, certificate.key)
        context.verify_mode = ssl.CERT_REQUIRED  # who has no certificate of ours is not let in
        return context

    with running_redis(tmp_path) as redis_server:
        async with running_proxy(redis_server.port, tls(server)) as proxy:
            known = {"ca_file": ours.certificate, "certificate_file": client.certificate, "key_file": client.key}
            url = f"rediss://127.0.0.1:{proxy.port}"
            async with open_redis(settings_for(url, **known), RING) as stores:
                assert await stores.events.put([an_event()]) == [True]
            for wrong in (known | {"ca_file": others.certificate}, known | {"ca_file": None}):
                with pytest.raises(StoreUnavailable, match="certificate that none of our authorities has signed"):
                    async with open_redis(settings_for(url, **wrong), RING):
                        pass
            for refused in (
                {"ca_file": ours.certificate},
                known | {"certificate_file": stranger.certificate, "key_file": stranger.key},
            ):
                with pytest.raises(StoreUnavailable, match="cannot be reached"):
                    async with open_redis(settings_for(url, retries=1, **refused), RING):
                        pass
            with pytest.raises(StoreUnavailable, match=r"cannot be reached|in time"):
                async with open_redis(settings_for(f"redis://127.0.0.1:{proxy.port}", retries=1), RING):
                    pass
        async with running_proxy(redis_server.port, tls(elsewhere)) as proxy:
            with pytest.raises(StoreUnavailable, match="certificate that none of our authorities has signed for it"):
                async with open_redis(settings_for(f"rediss://127.0.0.1:{proxy.port}", **known), RING):
                    pass
        with pytest.raises(BadInput, match=r"missing.pem.* cannot be read"):
            async with open_redis(settings_for(url, **known | {"ca_file": tmp_path / "missing.pem"}), RING):
                pass
