"""The user's own key."""

from pathlib import Path

from feature_store.signing import PublicKey
from hearth.trust import own_key, public_file


def test_the_public_half_beside_a_key_is_always_that_keys(tmp_path: Path) -> None:
    """Whatever a killed process or another key left there: what others pin is the key that signs."""
    file = tmp_path / "new" / "signing-key.pem"
    key = own_key(file)
    assert PublicKey.load(public_file(file)).key_id == key.public.key_id
    public_file(file).write_bytes(b"half a ke")
    assert own_key(file).public.key_id == key.public.key_id
    assert PublicKey.load(public_file(file)).key_id == key.public.key_id
