"""Canaries: values that nothing else has, and where they have come out again, in whatever writing."""

import base64
import hashlib
import json
import re
import struct
from collections.abc import Mapping
from urllib.parse import quote

_RARE = "-kanarienvögel"


class Canaries:
    """Values by name. They are the same in each run, so that a failure can be repeated."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._numbers: dict[str, float] = {}

    def text(self, name: str) -> str:
        """A text of that name, with a letter that is not ASCII."""
        return self._texts.setdefault(name, f"{_letters(name)}{_RARE}")

    def word(self, name: str) -> str:
        """A text of small letters alone, for where nothing else may stand."""
        return self._texts.setdefault(name, _letters(name))

    def hexadecimal(self, name: str) -> str:
        """32 hex digits."""
        return self._texts.setdefault(name, hashlib.sha256(name.encode()).hexdigest()[:32])

    def given(self, name: str, text: str) -> str:
        """A text that somebody else has made, such as an API key."""
        return self._texts.setdefault(name, text)

    def number(self, name: str) -> float:
        """A number between 0 and 1 that 32 bits hold exactly."""
        drawn = 0.25 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:2]) / 2.0**18 + 2.0**-20
        return self._numbers.setdefault(name, struct.unpack("<f", struct.pack("<f", drawn))[0])

    def found_in(self, written: bytes) -> set[str]:
        """The names of those that stand there."""
        small = written.lower()
        texts = {name for name, text in self._texts.items() if any(one in small for one in _writings(text))}
        numbers = {name for name, number in self._numbers.items() if any(one in written for one in _of_number(number))}
        return texts | numbers


def _letters(name: str) -> str:
    digest = hashlib.sha256(name.encode()).digest()
    return "zq" + "".join(chr(ord("a") + byte % 26) for byte in digest[:12])


def _writings(text: str) -> set[bytes]:
    """The text as programs write it, or hide it, in small letters. An id that is hashed without a key is an id."""
    plain = text.encode()
    hashes = {hashlib.new(kind, plain, usedforsecurity=False).hexdigest() for kind in ("md5", "sha1", "sha256")}
    shifted = {base64.b64encode(b" " * by + plain)[4 : -4 or None] for by in range(3)}
    written = {text, quote(text), json.dumps(text)[1:-1], repr(plain)[2:-1], plain.hex(), *hashes}
    start = text.removesuffix(_RARE)  # of one that was cut off before the rare letter
    found = {one.encode() for one in written} | shifted | {text.encode("utf-16-le"), start.encode()}
    digits = {bytes.fromhex(text)} if re.fullmatch("[0-9a-f]{32}", text) else set()
    return {one.lower() for one in found | digits}


def _of_number(number: float) -> set[bytes]:
    return {f"{number:.6f}"[:-1].encode(), struct.pack("<f", number), struct.pack("<d", number)}


def schema_of(schema: Mapping[str, object], document: Mapping[str, object]) -> Mapping[str, object]:
    """The schema that is meant, where a reference stands in its place."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Mapping[str, object] = document["components"]["schemas"][name] if name else schema  # type: ignore[index] # JSON
    return found
