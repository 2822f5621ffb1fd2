"""The certificate of a server that speaks HTTPS itself."""

import ssl
from pathlib import Path

from feature_store.errors import BadInput


def require_certificate(certificate: Path | None, key: Path | None) -> None:
    """Find out before the start whether certificate and key go together.

    Raises:
        BadInput: they do not, or one of them is none, or is locked with a password.
    """
    if certificate is None:
        return
    try:
        # An empty password: OpenSSL would ask the terminal for one.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except OSError as error:  # ssl.SSLError is one
        raise BadInput(f"certificate {certificate} with key {key} cannot be used: {error.strerror}") from error
