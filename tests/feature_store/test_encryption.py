"""Encryption at rest: what opens, what does not, and what a file of keys may look like."""

import base64
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.encryption import (
    KEY_VARIABLE,
    OVERHEAD,
    KeyRing,
    add_key,
    keys_from,
    keys_from_environment,
    keys_from_file,
    keys_from_text,
    new_key,
    own_keys,
    pseudonym,
)
from feature_store.errors import BadInput, CorruptStore, UnknownKey

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PERSON = b"p" * 16


def written(*keys: bytes) -> str:
    return "\n".join(base64.urlsafe_b64encode(key).decode() for key in keys)


@given(st.binary(max_size=300), st.binary(max_size=20), st.binary(max_size=20))
def test_what_was_sealed_for_a_place_opens_there(person: bytes, name: bytes, content: bytes) -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal(person, name, content)
    assert ring.open(person, name, sealed) == content
    assert len(sealed) == len(content) + OVERHEAD
    assert len(content) < 8 or content not in sealed


def test_the_same_content_is_never_sealed_alike() -> None:
    ring = KeyRing([OLD])
    assert len({ring.seal(PERSON, b"n", b"content") for _ in range(100)}) == 100


def test_nothing_opens_at_another_place_or_with_a_bit_turned() -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal(PERSON, b"n", b"content")
    for person, name in ((b"q" * 16, b"n"), (PERSON, b"m"), (b"", b"n")):
        with pytest.raises(CorruptStore, match="not what was sealed"):
            ring.open(person, name, sealed)
    for place in range(len(sealed)):
        turned = bytearray(sealed)
        turned[place] ^= 1
        with pytest.raises((CorruptStore, UnknownKey)):
            ring.open(PERSON, b"n", bytes(turned))
    for end in range(OVERHEAD):
        with pytest.raises(CorruptStore, match=f"a value of {end} bytes"):
            ring.open(PERSON, b"n", sealed[:end])


def test_every_person_has_a_key_of_their_own() -> None:
    """Otherwise the place alone would be in the way, and one key would seal everything there is."""
    ring = KeyRing([OLD])
    assert ring._derived(ring.newest, b"a") is not None
    ours, theirs = (ring._derived(ring.newest, person).encrypt(b"n" * 12, b"content", None) for person in (b"a", b"b"))
    assert ours != theirs


def test_the_newest_key_seals_and_every_key_of_the_ring_opens() -> None:
    before, both, after = KeyRing([OLD]), KeyRing([NEW, OLD]), KeyRing([NEW])
    old, new = before.seal(PERSON, b"n", b"old"), both.seal(PERSON, b"n", b"new")
    assert both.open(PERSON, b"n", old) == b"old"
    assert after.open(PERSON, b"n", new) == b"new"
    assert both.key_id(old) == before.newest != both.newest == both.key_id(new)
    with pytest.raises(
        UnknownKey, match=rf"sealed with key {before.newest.hex()}; the keys at hand are {after.newest.hex()}"
    ):
        after.open(PERSON, b"n", old)
    assert OLD.hex() not in before.newest.hex()


def test_keys_come_from_a_file_the_environment_or_a_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = KeyRing([OLD]).seal(PERSON, b"n", b"content")
    file = tmp_path / "keys"
    file.write_text(written(NEW, OLD) + "\n")
    file.chmod(0o600)
    monkeypatch.setenv(KEY_VARIABLE, written(NEW, OLD))
    for ring in (keys_from_file(file), keys_from_environment(), keys_from(lambda: [NEW, OLD])):
        assert ring.newest == KeyRing([NEW]).newest
        assert ring.open(PERSON, b"n", sealed) == b"content"


def test_a_first_key_is_made_for_its_owner_alone_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "keys"
    ring = own_keys(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert own_keys(file).newest == ring.newest != own_keys(tmp_path / "other").newest


def test_all_who_make_a_first_key_at_once_have_the_one_that_was_first(tmp_path: Path) -> None:
    for attempt in range(5):
        file, begin = tmp_path / str(attempt) / "keys", threading.Barrier(8)

        def made(file: Path = file, begin: threading.Barrier = begin) -> bytes:
            begin.wait()
            return own_keys(file).newest

        with ThreadPoolExecutor(8) as threads:
            found = {each.result() for each in [threads.submit(made) for _ in range(8)]}
        assert found == {keys_from_file(file).newest}
        assert [entry.name for entry in file.parent.iterdir()] == ["keys"]


def test_no_key_of_several_that_are_added_at_once_is_lost(tmp_path: Path) -> None:
    file, begin = tmp_path / "keys", threading.Barrier(8)
    first = own_keys(file).newest

    def added() -> bytes:
        begin.wait()
        return add_key(file).newest

    with ThreadPoolExecutor(8) as threads:
        told = [each.result() for each in [threads.submit(added) for _ in range(8)]]
    held = [KeyRing([base64.urlsafe_b64decode(line)]).newest for line in file.read_text().split()]
    assert sorted(held) == sorted([first, *told])
    assert held[-1] == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]


def test_a_key_file_with_a_new_key_is_still_its_groups_and_its_links(tmp_path: Path) -> None:
    file, link = tmp_path / "real" / "keys", tmp_path / "link"
    own_keys(file)
    file.chmod(0o640)
    if os.getuid() == 0:
        os.chown(file, 12, 34)  # as where a server has an account of its own, and an operator is root
    before = file.stat()
    link.symlink_to(file)
    assert add_key(link).newest == keys_from_file(file).newest
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert link.is_symlink()
    assert len(file.read_text().split()) == 2


def test_what_is_no_ring_of_keys_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = written(OLD)[:-4]
    for text in (secret, f"{written(NEW)} {secret}", "!"):
        with pytest.raises(BadInput, match="of here is not 32 bytes in URL-safe base64") as refused:
            keys_from_text(text, "here")
        assert secret not in str(refused.value)
    with pytest.raises(BadInput, match="at least one key"):
        keys_from_text(" \n", "here")
    with pytest.raises(BadInput, match="has 32 bytes; got 16"):
        keys_from(lambda: [new_key()[:16]])
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(BadInput, match=f"{KEY_VARIABLE} is not set"):
        keys_from_environment()
    file = tmp_path / "keys"
    file.write_text(written(OLD))
    file.chmod(0o644)
    with pytest.raises(BadInput, match="can be read by everybody"):
        keys_from_file(file)
    file.write_text("x" * 100_000)
    file.chmod(0o600)
    with pytest.raises(BadInput, match="is no key file"):
        keys_from_file(file)


def test_an_id_that_nobody_can_have_has_no_pseudonym() -> None:
    with pytest.raises(BadInput, match="half of a surrogate pair"):
        pseudonym(OLD, "ada", "\ud800")


def test_pseudonyms_tell_people_apart_and_say_nothing_without_the_secret() -> None:
    assert pseudonym(OLD, "ada") == pseudonym(OLD, "ada")
    seen = {pseudonym(OLD, *parts) for parts in (("ada",), ("bob",), ("a", "da"), ("ad", "a"), ("ada", ""))}
    assert len(seen) == 5
    assert all(len(name) == 16 for name in seen)
    assert pseudonym(NEW, "ada") not in seen
