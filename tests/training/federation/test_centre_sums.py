"""How the centre adds, and whose keys it knows: masked unless somebody has written down otherwise."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from feature_store.errors import BadInput
from training.federation.adding import plainly
from training.federation.centre_sums import CentreSums, adding_of, read_centre_sums, write_centre_sums
from training.federation.node_key_files import read_node_key, read_pinned
from training.federation.secure_adding import Securely
from training.secure_aggregation.node_keys import NodeKey

KEYS: dict[str, NodeKey] = {"cell-1": ec.generate_private_key(ec.SECP384R1()), "cell-2": Ed25519PrivateKey.generate()}


def written(folder: Path, keys: dict[str, NodeKey]) -> Path:
    folder.mkdir(parents=True)
    for name, key in keys.items():
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (folder / f"{name}.pub").write_bytes(public + b" somebody@somewhere\n")
        (folder / name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return folder


def test_without_a_word_sums_are_masked_by_the_keys_that_lie_there(tmp_path: Path) -> None:
    written(tmp_path / "node-keys", KEYS)
    adding = adding_of(tmp_path)
    assert isinstance(adding, Securely)
    assert adding.pinned == {name: key.public_key() for name, key in KEYS.items()}
    assert adding.colluding == 0


def test_without_keys_nothing_is_added_rather_than_in_the_clear(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"node-keys is to hold a file NAME.pub for each cell"):
        adding_of(tmp_path)


def test_what_was_written_down_is_what_is_done(tmp_path: Path) -> None:
    write_centre_sums(tmp_path / "plain", CentreSums(sums="plain"))
    assert adding_of(tmp_path / "plain") is plainly
    written(tmp_path / "elsewhere", KEYS)
    write_centre_sums(tmp_path / "centre", CentreSums(node_keys=tmp_path / "elsewhere", colluding=1))
    adding = adding_of(tmp_path / "centre")
    assert isinstance(adding, Securely)
    assert (set(adding.pinned), adding.colluding) == ({"cell-1", "cell-2"}, 1)
    (tmp_path / "centre" / "sums.json").write_text('{"sums": "somehow"}')
    with pytest.raises(BadInput, match="sums: Input should be 'masked' or 'plain'"):
        read_centre_sums(tmp_path / "centre")


def test_a_node_key_is_read_as_flower_has_it(tmp_path: Path) -> None:
    folder = written(tmp_path / "keys", KEYS)
    for name, key in KEYS.items():
        assert read_node_key(folder / name).public_key() == key.public_key() == read_pinned(folder)[name]


def test_files_that_are_no_node_keys_are_refused_by_name(tmp_path: Path) -> None:
    other = {"curve": ec.generate_private_key(ec.SECP256R1()), "rsa": rsa.generate_private_key(65537, 2048)}
    folder = written(tmp_path / "keys", other)  # type: ignore[arg-type]  # as they should not be
    with pytest.raises(BadInput, match=r"curve is on secp256r1"):
        read_node_key(folder / "curve")
    with pytest.raises(BadInput, match=r"rsa holds a _?RSAPrivateKey; a node key is Ed25519"):
        read_node_key(folder / "rsa")
    with pytest.raises(BadInput, match=r"curve.pub is on secp256r1"):
        read_pinned(folder)
    (folder / "curve.pub").write_text("nonsense")
    with pytest.raises(BadInput, match=r"curve.pub is no public key in OpenSSH's form"):
        read_pinned(folder)
    with pytest.raises(BadInput, match=r"curve.pub is no private key"):
        read_node_key(folder / "curve.pub")
    with pytest.raises(BadInput, match=r"nobody is no private key"):
        read_node_key(folder / "nobody")
