"""API keys, as a file holds them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from serving.access.keys import ApiKey, caller_with, hash_of, new_secret, parse_keys

FILE = Path("keys.json")


def table(secret: str, **settings: Any) -> dict[str, Any]:
    return {"hash": hash_of(secret), "scopes": ["recommend"], **settings}


def parsed(**tables: Any) -> dict[str, ApiKey]:
    return dict(parse_keys(FILE, json.dumps(tables).encode()))


@given(st.integers(1, 8), st.data())
def test_each_key_is_known_by_its_name_and_nobody_else_has_one(count: int, data: st.DataObject) -> None:
    secrets = [new_secret() for _ in range(count)]
    keys = parsed(**{f"key-{number}": table(secret) for number, secret in enumerate(secrets)})
    number = data.draw(st.integers(0, count - 1))
    found = caller_with(secrets[number], keys)
    assert found is not None
    assert (found.name, found.key) == (f"key-{number}", keys[f"key-{number}"])
    assert caller_with(secrets[number][:-1], keys) is None
    assert caller_with(data.draw(st.text(max_size=60)), keys) is None


def test_keys_are_random_and_long_and_no_file_holds_one() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(secret) == len("hearth_") + 43 for secret in secrets)  # 32 bytes in base64
    secret = secrets.pop()
    assert secret not in json.dumps(table(secret))


def test_the_hash_in_the_place_of_the_key_opens_nothing() -> None:
    secret = new_secret()
    assert caller_with(hash_of(secret), parsed(shop=table(secret))) is None


def test_a_file_is_toml_too() -> None:
    content = f'[shop]\nhash = "{hash_of("k")}"\nscopes = ["ingest", "admin"]\nper_second = 2.5\n'
    key = parse_keys(Path("keys.toml"), content.encode())["shop"]
    assert (key.scopes, key.per_second, key.tenant) == ({"ingest", "admin"}, 2.5, None)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"shop": {"scopes": ["recommend"]}}, "shop.hash: Field required"),
        ({"shop": {"hash": "k", "scopes": ["recommend"]}}, "shop.hash"),
        ({"shop": table("k", scopes=[])}, "shop.scopes"),
        ({"shop": table("k", scopes=["everything"])}, "shop.scopes"),
        ({"shop": table("k", per_second=0)}, "shop.per_second"),
        ({"shop": table("k", burst=5)}, "shop: a burst is one of a rate"),
        ({"shop": table("k", tenant="Two Words")}, "shop.tenant"),
        ({"shop": table("k", colour="red")}, "shop.colour"),
        ({"Shop": table("k")}, "key 'Shop' is not named like"),
        ({"one": table("k"), "two": table("k")}, "two keys have one hash"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_by_file_key_and_field(tables: Any, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parsed(**tables)
    assert said in str(refused.value)
    assert "keys.json" in str(refused.value)
