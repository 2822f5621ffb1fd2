"""API keys: who may ask a server, for what, and how often. A file holds their hashes; the keys themselves nobody keeps.

A file of keys (TOML or JSON) has a table for each, by its name:

    [shop-window]
    hash = "sha256:4f0d..."
    scopes = ["recommend", "ingest"]
    tenant = "shop"
    per_second = 50
    burst = 100
    per_day = 1_000_000

A key is 32 random bytes, so one round of SHA-256 is enough: a slow hash makes guessing dear where secrets are chosen by
people, and here there are 2^256 to guess from; it would cost every request what it costs an attacker.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from feature_store.errors import BadInput
from feature_store.faults import faults_of
from serving.access.tenants import TENANT_NAME
from serving.settings_text import settings_in

Scope: TypeAlias = Literal["recommend", "ingest", "admin", "metrics"]
KEY_NAME = re.compile("[a-z0-9][a-z0-9-]{0,63}")

_MARK = "hearth_"  # by which those who look for leaked secrets know one of ours
_ADMITS = re.compile(r"[\x21-\x7e]{1,200}")  # of what is hashed: no key is longer


class ApiKey(BaseModel):
    """What one key may do.

    burst: how many requests may come at once, where `per_second` limits them; absent: as many as in one second.
    per_day: requests from midnight to midnight, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    scopes: frozenset[Scope] = Field(min_length=1)
    tenant: Annotated[str, Field(pattern=f"^{TENANT_NAME.pattern}$")] | None = None
    per_second: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
    burst: Annotated[int, Field(ge=1, le=10**6)] | None = None
    per_day: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _burst_of_a_rate(self) -> "ApiKey":
        if self.burst is not None and self.per_second is None:
            raise ValueError("a burst is one of a rate; give per_second too")
        return self


class Caller(NamedTuple):
    """Who asks, as far as a server has to know: the key's name and what it may do. Never the key."""

    name: str
    key: ApiKey

    @property
    def tenant(self) -> str | None:
        """Whose people and placements these are; None of a server, or a key, without tenants."""
        return self.key.tenant


ApiKeys: TypeAlias = Mapping[str, ApiKey]
_ADAPTER = TypeAdapter(dict[str, ApiKey])


def new_secret() -> str:
    """A new key: 256 random bits, in letters that need no quoting."""
    return _MARK + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What a file holds of a key."""
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


def caller_with(secret: str, keys: ApiKeys) -> Caller | None:
    """Who has that key; None where nobody does.

    All hashes are compared, each in constant time: neither which one fits nor how far one fits shows in the time taken.
    """
    if not _ADMITS.fullmatch(secret):
        return None
    given, found = hash_of(secret).encode(), None
    for name, key in keys.items():
        if hmac.compare_digest(given, key.hash.encode()):
            found = Caller(name, key)
    return found


def parse_keys(file: Path, content: bytes) -> ApiKeys:
    """The keys that a file of that name and content holds; raises `BadInput`, naming file, key and field."""
    try:
        keys = _ADAPTER.validate_python(settings_in(file, content))
    except ValidationError as error:
        raise BadInput(f"{file} is no file of API keys: {faults_of(error)}") from None
    for name in keys:
        if not KEY_NAME.fullmatch(name):
            raise BadInput(f"{file}: key {name!r} is not named like {KEY_NAME.pattern}")
    hashes = [key.hash for key in keys.values()]
    if len(set(hashes)) < len(hashes):
        raise BadInput(f"{file}: two keys have one hash; a key has one name")
    return keys
