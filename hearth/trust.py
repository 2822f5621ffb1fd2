"""Which key signs, which keys are trusted and which seal the store, when the command line does not say."""

from collections.abc import Sequence
from pathlib import Path

from feature_store.durable import replace
from feature_store.encryption import own_keys
from feature_store.errors import BadInput
from feature_store.registry import Registry
from feature_store.signing import PublicKey, SigningKey, TrustedKeys
from hearth import environment
from hearth.terminal import ERR


def own_key(file: Path | None = None) -> SigningKey:
    """The user's signing key; made, with its public half beside it, when it is first needed."""
    if file is None:
        file = environment.signing_key_file()
        if not file.exists():  # in a place that the user has not named
            ERR.print(f"making your signing key: {file}", soft_wrap=True)
    key = SigningKey.load_or_create(file)
    public, pem = public_file(file), key.public.pem()
    if not public.exists() or public.read_bytes() != pem:
        replace(public, pem)
    return key


def public_file(signing_key: Path | None = None) -> Path:
    """Where the public half of a signing key stands."""
    return (signing_key or environment.signing_key_file()).with_suffix(".pub")


def trusted_keys(files: Sequence[Path] | None) -> TrustedKeys:
    """The keys of those files; the user's own where none is named."""
    return TrustedKeys([PublicKey.load(file) for file in files] if files else [own_key().public])


def open_registry(place: Path | str, files: Sequence[Path] | None = None) -> Registry:
    """The registry of that folder or URL, read with those keys; raises `BadInput` where there is no such folder.

    Checkpoints of an object store are kept in the user's cache once they were fetched.
    """
    if isinstance(place, str) and "://" in place:
        return Registry(place, trusted_keys(files), environment.cache_folder() / "checkpoints")
    folder = Path(place)
    if not registry_folder(folder).is_dir():
        raise BadInput(f"there is no registry {folder}; `hearth train --registry {folder}` makes one")
    return Registry(folder, trusted_keys(files))


def registry_folder(folder: Path) -> Path:
    """The folder, which need not be there yet; raises `BadInput` for a file."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; a registry is a folder")
    return folder


def store_keys(file: Path | None) -> Path | None:
    """The file of keys that seal the user's store; None where they stand in the environment.

    file: the one that the command line names. Where it names none, nor the environment holds keys, one is made beside
        the user's signing key when it is first needed.
    """
    if file is None:
        if environment.holds_store_keys():
            return None
        file = environment.store_keys_file()
        if not file.exists():  # in a place that the user has not named
            ERR.print(f"making the key of your store: {file}; without it the store cannot be read", soft_wrap=True)
    own_keys(file)
    return file
