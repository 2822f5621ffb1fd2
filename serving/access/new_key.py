"""A new API key in a file of keys: what stood there, comments included, stays as it is."""

import json
from pathlib import Path

from feature_store.errors import BadInput
from serving.access.keys import KEY_NAME, ApiKey, parse_keys


def with_key(file: Path, content: bytes, name: str, key: ApiKey) -> bytes:
    """What the file should hold so that it has that key as well.

    content: of the file now; nothing where there is none yet.

    Raises:
        BadInput: the file is none of keys, or has one of that name.
    """
    if not KEY_NAME.fullmatch(name):
        raise BadInput(f"a key is named like {KEY_NAME.pattern}; got {name!r}")
    if content and name in parse_keys(file, content):
        raise BadInput(f"{file} has a key {name!r} already; take it out first, or give the new one another name")
    settings = key.model_dump(mode="json", exclude_none=True)
    settings["scopes"] = sorted(settings["scopes"])
    if file.suffix == ".json":
        together = {**json.loads(content or b"{}"), name: settings}
        extended = json.dumps(together, indent=2, ensure_ascii=False).encode() + b"\n"
    else:
        # Strings and numbers in here are written in TOML as they are in JSON; a key's name needs no quotes.
        lines = "".join(f"{field} = {json.dumps(value)}\n" for field, value in settings.items())
        extended = (content.rstrip(b"\n") + b"\n\n" if content.strip() else b"") + f"[{name}]\n{lines}".encode()
    parse_keys(file, extended)
    return extended
