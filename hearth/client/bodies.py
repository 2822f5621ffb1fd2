"""Bodies: what is sent, looked at beforehand as the server will look at it, and what comes back, typed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from feature_store.errors import BadInput
from feature_store.faults import faults_of
from feature_store.item_schemas import StoredItem, item_to_bytes
from hearth.client.attempts import problem_in
from hearth.client.errors import Unreachable, place_of

Reply = TypeVar("Reply")


def content_of(kind: type[Any], fields: Mapping[str, Any] | StoredItem) -> str:
    """The body as JSON; raises `BadInput` where the server would refuse it."""
    try:
        adapter = TypeAdapter[Any](kind)
        return adapter.dump_json(adapter.validate_python(_plain(fields)), exclude_unset=True).decode()
    except ValidationError as error:
        raise BadInput(f"this cannot be asked: {faults_of(error)}") from None


def parsed(response: httpx.Response, kind: type[Reply] | TypeAdapter[Reply]) -> Reply:
    """The reply; raises `Problem` where it is an error, and `Unreachable` where it is no reply of Hearth."""
    if not response.is_success:
        raise problem_in(response)
    try:
        adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter[Reply](kind)
        return adapter.validate_json(response.content)
    except ValidationError as error:
        raise Unreachable(f"{place_of(response.url)} does not speak as Hearth does: {faults_of(error)}") from None


def in_address(what: str, name: str) -> str:
    """A name as a part of an address; raises `BadInput` for one that would make another address."""
    if not name or "/" in name or set(name) == {"."}:
        raise BadInput(f"{what} that stands in an address has no slash in it, and is not empty or dots; got {name!r}")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        raise BadInput(f"{what} is text that UTF-8 can write; got half of a surrogate pair") from None


def _plain(value: Any) -> Any:
    """Sequences as lists, as the server's types are strict; an item as its fields."""
    if isinstance(value, StoredItem):
        return json.loads(item_to_bytes(value))
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(part) for part in value]
    return value
