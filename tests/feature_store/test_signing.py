"""Keys: who may sign, what a signature is over, and which files hold keys."""

import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from feature_store.errors import BadInput, UntrustedCheckpoint
from feature_store.signing import PublicKey, Signature, SigningKey, TrustedKeys


def test_a_key_that_was_saved_signs_what_its_public_half_verifies(tmp_path: Path) -> None:
    key = SigningKey.generate()
    key.save(tmp_path / "key.pem")
    (tmp_path / "key.pub").write_bytes(key.public.pem())
    public = PublicKey.load(tmp_path / "key.pub")
    signature = SigningKey.load(tmp_path / "key.pem").sign(b"message")
    assert public.key_id == key.public.key_id == signature.key_id
    assert public.verifies(b"message", signature.signature)
    assert not public.verifies(b"massage", signature.signature)
    assert not public.verifies(b"message", signature.signature[:-1])
    assert not SigningKey.generate().public.verifies(b"message", signature.signature)


def test_a_signing_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    SigningKey.generate().save(tmp_path / "saved.pem")
    SigningKey.load_or_create(tmp_path / "deep" / "created.pem")
    for path in (tmp_path / "saved.pem", tmp_path / "deep" / "created.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [file.name for file in path.parent.iterdir() if file.is_file()] == [path.name]


def test_saving_never_overwrites_a_key(tmp_path: Path) -> None:
    first = SigningKey.generate()
    first.save(tmp_path / "key.pem")
    with pytest.raises(FileExistsError):
        SigningKey.generate().save(tmp_path / "key.pem")
    assert SigningKey.load(tmp_path / "key.pem").public.key_id == first.public.key_id
    assert len(list(tmp_path.iterdir())) == 1


def test_load_or_create_gives_the_key_that_is_there(tmp_path: Path) -> None:
    first = SigningKey.load_or_create(tmp_path / "key.pem")
    assert SigningKey.load_or_create(tmp_path / "key.pem").public.key_id == first.public.key_id


def test_all_who_create_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    for attempt in range(20):
        path, start = tmp_path / f"{attempt}.pem", threading.Barrier(4)
        key_ids: list[str] = []

        def create(path: Path = path, start: threading.Barrier = start, key_ids: list[str] = key_ids) -> None:
            start.wait()
            key_ids.append(SigningKey.load_or_create(path).public.key_id)

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(key_ids) == 4
        assert len(set(key_ids)) == 1


def test_a_file_that_holds_no_key_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(BadInput, match=r"key\.pem is not readable as a signing key"):
        SigningKey.load(path)
    path.write_text("no key")
    with pytest.raises(BadInput, match=r"key\.pem is not readable as a signing key"):
        SigningKey.load(path)
    with pytest.raises(BadInput, match=r"key\.pem is not readable as a public key"):
        PublicKey.load(path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = generate_private_key(SECP256R1())
    path = tmp_path / "key.pem"
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(BadInput, match=r"key\.pem holds a .*; checkpoints are signed with Ed25519 keys"):
        SigningKey.load(path)
    path.write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(BadInput, match=r"key\.pem holds a .*; checkpoints are signed with Ed25519 keys"):
        PublicKey.load(path)


def test_an_encrypted_key_is_refused(tmp_path: Path) -> None:
    key = SigningKey.generate()._key
    secret = BestAvailableEncryption(b"password")
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    with pytest.raises(BadInput, match="not readable as a signing key"):
        SigningKey.load(tmp_path / "key.pem")


def test_a_public_key_does_not_sign_and_a_signing_key_is_not_published(tmp_path: Path) -> None:
    key = SigningKey.generate()
    (tmp_path / "key.pub").write_bytes(key.public.pem())
    key.save(tmp_path / "key.pem")
    with pytest.raises(BadInput, match="not readable as a signing key"):
        SigningKey.load(tmp_path / "key.pub")
    with pytest.raises(BadInput, match="not readable as a public key"):
        PublicKey.load(tmp_path / "key.pem")


def test_any_of_several_trusted_keys_will_do() -> None:
    first, second = SigningKey.generate(), SigningKey.generate()
    TrustedKeys([first.public, second.public]).verify(b"message", second.sign(b"message"), "it")


def test_a_key_nobody_trusts_is_named_beside_those_trusted() -> None:
    ours, theirs = SigningKey.generate(), SigningKey.generate()
    with pytest.raises(UntrustedCheckpoint, match=f"it is signed by key {theirs.public.key_id}.*{ours.public.key_id}"):
        TrustedKeys([ours.public]).verify(b"message", theirs.sign(b"message"), "it")


def test_a_signature_under_a_trusted_name_must_be_that_keys() -> None:
    ours, theirs = SigningKey.generate(), SigningKey.generate()
    forged = Signature(ours.public.key_id, theirs.sign(b"message").signature)
    with pytest.raises(UntrustedCheckpoint, match=f"key {ours.public.key_id} that is not over its bytes"):
        TrustedKeys([ours.public]).verify(b"message", forged, "it")
