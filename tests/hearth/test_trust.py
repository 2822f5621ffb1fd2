"""The user's own keys."""

import stat
from pathlib import Path

import platformdirs
import pytest

from feature_store.encryption import KEY_VARIABLE, keys_from_file
from feature_store.signing import PublicKey
from hearth import environment
from hearth.trust import own_key, public_file, store_keys


def test_the_public_half_beside_a_key_is_always_that_keys(tmp_path: Path) -> None:
    """Whatever a killed process or another key left there: what others pin is the key that signs."""
    file = tmp_path / "new" / "signing-key.pem"
    key = own_key(file)
    assert PublicKey.load(public_file(file)).key_id == key.public.key_id
    public_file(file).write_bytes(b"half a ke")
    assert own_key(file).public.key_id == key.public.key_id
    assert PublicKey.load(public_file(file)).key_id == key.public.key_id


def test_the_key_of_the_store_is_made_where_it_is_named_and_kept(tmp_path: Path) -> None:
    named = tmp_path / "new" / "store.keys"
    assert store_keys(named) == named
    newest = keys_from_file(named).newest
    assert stat.S_IMODE(named.stat().st_mode) == 0o600
    assert store_keys(named) == named
    assert keys_from_file(named).newest == newest


def test_without_a_name_the_keys_are_the_environments_or_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environment.STORE_KEY == KEY_VARIABLE
    monkeypatch.setenv(KEY_VARIABLE, "the keys themselves")
    assert store_keys(None) is None
    assert store_keys(tmp_path / "named") == tmp_path / "named"
    monkeypatch.delenv(KEY_VARIABLE)
    own = Path(platformdirs.user_config_dir("hearth")) / "store.keys"
    assert tmp_path in own.parents
    assert store_keys(None) == own
    assert keys_from_file(own).newest
    assert f"making the key of your store: {own}" in capsys.readouterr().err.replace("\n", "")
