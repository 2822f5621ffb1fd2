"""Scripts in Lua: what Redis runs whole, with nothing between its steps."""

import hashlib

from feature_store.redis_scripts import Script


def script(text: str) -> Script:
    """The script, with the name by which a server that has seen it knows it: its SHA-1."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
