"""Node keys: both kinds, beside pycryptodome, and a round of a cohort that has some of each."""

import pytest
from Crypto.Hash import SHA384
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS, eddsa
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from feature_store.errors import BadInput
from tests.training.secure_aggregation.rounds import LAYOUT, World, node_key, random_values, run, world
from training.secure_aggregation.node_keys import sign, verifies
from training.secure_aggregation.server import begin

ED25519 = node_key("a node")
P384 = ec.derive_private_key(12345678901234567890, ec.SECP384R1())


@pytest.mark.parametrize("key", [ED25519, P384])
def test_a_signature_is_of_one_text_by_one_key(key: ec.EllipticCurvePrivateKey) -> None:
    signature = sign(key, b"text")
    assert verifies(key.public_key(), b"text", signature)
    assert not verifies(key.public_key(), b"texts", signature)
    assert not verifies(node_key("another").public_key(), b"text", signature)
    assert not verifies(ec.derive_private_key(99, ec.SECP384R1()).public_key(), b"text", signature)
    for wrong in (
        b"",
        signature[:-1],
        signature + b"\0",
        signature[:48] + b"\0" + signature[48:],
        bytes(64),
        bytes(96),
        b"\xff" * 96,
    ):
        assert not verifies(key.public_key(), b"text", wrong)


def test_signatures_are_those_of_another_implementation() -> None:
    for key, size in ((ED25519, 64), (P384, 96)):
        signature = sign(key, b"text")
        assert len(signature) == size
        known = ECC.import_key(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        if size == 64:
            eddsa.new(known, "rfc8032").verify(b"text", signature)
        else:
            DSS.new(known, "fips-186-3").verify(SHA384.new(b"text"), signature)


def test_a_round_of_nodes_with_keys_of_both_kinds() -> None:
    of = world(4, 3)
    mixed = World(of.terms, dict(of.node_keys) | {"cell-1": P384})
    values = {name: random_values(LAYOUT, 1) for name in of.terms.cohort}
    result = run(mixed, values, {"cell-0": 2})
    assert result.clients == ("cell-1", "cell-2", "cell-3")
    assert result.sums["counts"].tolist() == (3 * values["cell-1"]["counts"]).tolist()


def test_keys_on_other_curves_are_refused() -> None:
    of = world(3, 2)
    other = ec.derive_private_key(5, ec.SECP256R1())
    with pytest.raises(BadInput, match="the key of cell-1 is on secp256r1"):
        begin(of.terms, of.pinned | {"cell-1": other.public_key()})
    with pytest.raises(BadInput, match="is on secp256r1"):
        sign(other, b"text")
