"""The certificate of a server that speaks HTTPS itself, and the one that takes its place when it is renewed."""

import ssl
from collections.abc import Callable
from pathlib import Path

from feature_store.errors import BadInput


def context_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """What answers handshakes with that certificate.

    Raises:
        BadInput: certificate and key do not go together, or one of them is none, or is locked with a password.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")  # else OpenSSL would ask the terminal for one
    except OSError as error:  # ssl.SSLError is one
        raise BadInput(f"certificate {certificate} with key {key} cannot be used: {error.strerror}") from error
    return context


def always_latest(latest: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """A context for a server's socket, each of whose handshakes is answered by the context that is the latest then.

    OpenSSL asks which context it is once it has read what a client says first, whether that names a server or not. A
    new certificate could be loaded into the context in use instead; but where files change between the two readings,
    that would be left with a certificate and a key that do not fit, and answer nobody.
    """

    def answered_by_latest(connection: ssl.SSLObject, _name: str | None, _entry: ssl.SSLContext) -> None:
        connection.context = latest()

    entry = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    entry.sni_callback = answered_by_latest
    return entry
