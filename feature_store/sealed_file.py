"""A sealed file: named sections of bytes behind one signature, read without believing anything before its turn.

    8 bytes      magic: what kind of file it is
    4 bytes      version of the format, 2
    8 bytes      id of the key that signed it
    64 bytes     Ed25519 signature over magic, version and table
    4 bytes      length of the table
    the table    JSON: {"facts": {...}, "sections": [[name, size, SHA-256 in hex], ...]}, keys sorted, no spaces, ASCII
    sections     in the table's order, each as: 1 byte coding (0 as it is, 1 zlib), 4 bytes length, that many bytes

Numbers are unsigned and little-endian. What is signed are sizes and digests of the sections as they are uncompressed.
So a file that was compressed by another zlib has the same signature and the same digest, which is its name; and no
more is ever decompressed than a trusted key has signed for.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.errors import CorruptBundle
from feature_store.faults import faults_of
from feature_store.signing import Signature, SigningKey, TrustedKeys

VERSION = 2
_HEAD = struct.Struct("<8sI8s64sI")
_PREFIX = struct.Struct("<BI")
_AS_IT_IS, _ZLIB = 0, 1
_PAYS = 0.97  # compressed where it is at most this share of its size: less is not worth a device's time
_LARGEST_TABLE = 1 << 20  # bytes
_LARGEST_CONTENT = 1 << 30  # bytes of all sections, uncompressed; a hundred times what is meant


class _Table(BaseModel):
    """What is signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    facts: dict[str, Any]
    sections: list[tuple[str, Annotated[int, Field(ge=0)], Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]]


@dataclass(frozen=True, slots=True, eq=False)
class Sealed:
    """A sealed file whose signature and digests were verified.

    table: the bytes that stand in the file.
    facts: what the table says of the whole.
    sections: uncompressed.
    signature: of the table.
    """

    magic: bytes
    table: bytes
    facts: Mapping[str, Any]
    sections: Mapping[str, bytes]
    signature: Signature

    @property
    def digest(self) -> str:
        """SHA-256 of all that is signed, in hex: the name of the content, however it is compressed."""
        return hashlib.sha256(_signed(self.magic, self.table)).hexdigest()

    def to_bytes(self) -> bytes:
        """The file."""
        key_id = bytes.fromhex(self.signature.key_id)
        head = _HEAD.pack(self.magic, VERSION, key_id, self.signature.signature, len(self.table))
        return b"".join([head, self.table, *map(_stored, self.sections.values())])


def seal(magic: bytes, facts: Mapping[str, Any], sections: Mapping[str, bytes], key: SigningKey) -> Sealed:
    """Sign sections and facts, which are what JSON can say."""
    listed = [[name, len(content), hashlib.sha256(content).hexdigest()] for name, content in sections.items()]
    table = json.dumps({"facts": facts, "sections": listed}, sort_keys=True, separators=(",", ":")).encode()
    return Sealed(magic, table, facts, sections, key.sign(_signed(magic, table)))


def sealed_of(
    magic: bytes, table: bytes, signature: Signature, sections: Mapping[str, bytes], trusted: TrustedKeys, what: str
) -> Sealed:
    """A sealed file of parts that came by other ways, verified as `open_sealed` does it; `what` for messages."""
    parsed = _verified_table(magic, table, signature, trusted, what)
    ordered = {}
    for name, size, digest in parsed.sections:
        if name not in sections:
            raise CorruptBundle(f"{what} lacks the section {name}")
        ordered[name] = _verified(sections[name], name, size, digest, what)
    return Sealed(magic, table, parsed.facts, ordered, signature)


def open_sealed(content: bytes, magic: bytes, trusted: TrustedKeys, what: str) -> Sealed:
    """Read and verify a sealed file.

    Raises:
        CorruptBundle: it is no such file, of another version, cut short, longer than it should be, or damaged.
        UntrustedCheckpoint: no trusted key signed it.
    """
    if len(content) < _HEAD.size:
        raise CorruptBundle(f"{what} has {len(content)} bytes; its head alone has {_HEAD.size}")
    found, version, key_id, signed, length = _HEAD.unpack_from(content)
    if found != magic:
        raise CorruptBundle(f"{what} begins with {found!r}; what is asked for here begins with {magic!r}")
    if version != VERSION:
        raise CorruptBundle(f"{what} has version {version}; this Hearth reads version {VERSION}")
    if length > min(_LARGEST_TABLE, len(content) - _HEAD.size):
        raise CorruptBundle(f"{what} has {len(content)} bytes and says that its table has {length} of them")
    position = _HEAD.size + length
    table = content[_HEAD.size : position]
    signature = Signature(key_id.hex(), signed)
    parsed = _verified_table(magic, table, signature, trusted, what)
    sections = {}
    for name, size, digest in parsed.sections:
        if len(content) - position < _PREFIX.size:
            raise CorruptBundle(f"{what} ends before its section {name}")
        coding, stored = _PREFIX.unpack_from(content, position)
        position += _PREFIX.size
        if stored > len(content) - position:
            raise CorruptBundle(f"{what} ends within its section {name}")
        raw = _decoded(content[position : position + stored], coding, size, name, what)
        sections[name] = _verified(raw, name, size, digest, what)
        position += stored
    if position != len(content):
        raise CorruptBundle(f"{what} goes on for {len(content) - position} bytes after its last section")
    return Sealed(magic, table, parsed.facts, sections, signature)


def _signed(magic: bytes, table: bytes) -> bytes:
    return magic + struct.pack("<I", VERSION) + table


def _verified_table(magic: bytes, table: bytes, signature: Signature, trusted: TrustedKeys, what: str) -> _Table:
    trusted.verify(_signed(magic, table), signature, what)
    try:
        parsed = _Table.model_validate_json(table)
    except ValidationError as error:
        raise CorruptBundle(f"the table of {what} is none: {faults_of(error)}") from error
    if sum(size for _, size, _ in parsed.sections) > _LARGEST_CONTENT:
        raise CorruptBundle(f"{what} would have more than {_LARGEST_CONTENT} bytes uncompressed")
    if len({name for name, _, _ in parsed.sections}) != len(parsed.sections):
        raise CorruptBundle(f"a section stands twice in the table of {what}")
    return parsed


def _stored(content: bytes) -> bytes:
    # Numbers without repeats come out smaller where none are looked for: the vectors of a bundle by 1.5 %.
    compressed = min((_deflated(content, how) for how in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)), key=len)
    if len(compressed) <= _PAYS * len(content):
        return _PREFIX.pack(_ZLIB, len(compressed)) + compressed
    return _PREFIX.pack(_AS_IT_IS, len(content)) + content


def _deflated(content: bytes, strategy: int) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    return stream.compress(content) + stream.flush()


def _decoded(stored: bytes, coding: int, size: int, name: str, what: str) -> bytes:
    if coding == _AS_IT_IS:
        return stored
    if coding != _ZLIB:
        raise CorruptBundle(f"section {name} of {what} has the coding {coding}; there are {_AS_IT_IS} and {_ZLIB}")
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(stored, size + 1)  # never more than one byte beyond what was signed
    except zlib.error as error:
        raise CorruptBundle(f"section {name} of {what} cannot be decompressed: {error}") from error
    if not stream.eof or stream.unused_data:
        raise CorruptBundle(f"section {name} of {what} does not end where its compressed bytes do")
    return content


def _verified(content: bytes, name: str, size: int, digest: str, what: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if len(content) != size or found != digest:
        raise CorruptBundle(
            f"section {name} of {what} has {len(content)} bytes with sha256 {found}; "
            f"its table asks for {size} bytes with sha256 {digest}"
        )
    return content
