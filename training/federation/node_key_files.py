"""Files of node keys, in the form of OpenSSH: a cell's own private one, and the public ones of the others.

A folder of public keys has a file NAME.pub for each cell; the name is that of its SuperNode. Who puts them there is
whoever the cell trusts to say who the others are, and that is not the server of the rounds.
"""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from feature_store.errors import BadInput
from training.secure_aggregation.node_keys import NodeKey, NodePublicKey, require_node_key

SUFFIX = ".pub"


def read_node_key(file: Path) -> NodeKey:
    """A private node key; raises `BadInput` for a file that is none."""
    try:
        key = load_ssh_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInput(f"{file} is no private key in OpenSSH's form without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise BadInput(f"{file} holds a {type(key).__name__}; a node key is Ed25519 or on the curve P-384")
    require_node_key(key.public_key(), str(file))
    return key


def read_pinned(folder: Path) -> dict[str, NodePublicKey]:
    """The public node keys of that folder by name; raises `BadInput` where there is none, or a file that is none."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise BadInput(f"{folder} is to hold a file NAME{SUFFIX} for each cell, its public node key; there is none")
    return {file.stem: _read_public(file) for file in files}


def _read_public(file: Path) -> NodePublicKey:
    try:
        key = load_ssh_public_key(file.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise BadInput(f"{file} is no public key in OpenSSH's form: {error}") from error
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise BadInput(f"{file} holds a {type(key).__name__}; a node key is Ed25519 or on the curve P-384")
    require_node_key(key, str(file))
    return key
