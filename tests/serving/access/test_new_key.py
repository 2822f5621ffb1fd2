"""A new key in a file of keys."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from serving.access.keys import ApiKey, hash_of, parse_keys
from serving.access.new_key import with_key

SCOPES = st.frozensets(st.sampled_from(["recommend", "ingest", "admin", "metrics"]), min_size=1)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "tenant": st.sampled_from(["shop", "a-b"]),
        "per_second": st.floats(0.001, 1000),
        "per_day": st.integers(1, 10**7),
    },
)


@given(st.dictionaries(NAMES, st.tuples(SCOPES, LIMITS), max_size=5), st.sampled_from([".toml", ".json"]))
def test_what_was_added_one_by_one_is_what_is_read(
    wanted: dict[str, tuple[frozenset[str], dict[str, object]]], suffix: str
) -> None:
    file, content, keys = Path(f"keys{suffix}"), b"", {}
    for name, (scopes, limits) in wanted.items():
        keys[name] = ApiKey.model_validate({"hash": hash_of(name), "scopes": scopes, **limits})
        content = with_key(file, content, name, keys[name])
        assert parse_keys(file, content) == keys


def test_what_stood_in_the_file_stays_as_it_was_comments_included() -> None:
    file, key = Path("keys.toml"), ApiKey(hash=hash_of("new"), scopes=frozenset({"ingest"}))
    before = f'# of the shop\n[shop]\nhash = "{hash_of("k")}"\nscopes = ["recommend"]  # no more\n'.encode()
    assert with_key(file, before, "new", key).startswith(before)


def test_a_name_is_given_once_and_a_file_of_something_else_is_left_alone() -> None:
    file, key = Path("keys.json"), ApiKey(hash=hash_of("new"), scopes=frozenset({"ingest"}))
    there = with_key(file, b"", "shop", key)
    with pytest.raises(BadInput, match="has a key 'shop' already"):
        with_key(file, there, "shop", key)
    with pytest.raises(BadInput, match="two keys have one hash"):
        with_key(file, there, "other", key)
    with pytest.raises(BadInput, match="no file of API keys"):
        with_key(file, json.dumps({"home": {"vertical": "news"}}).encode(), "shop", key)
    with pytest.raises(BadInput, match=r"a key is named like .*; got 'A Key'"):
        with_key(file, there, "A Key", key)
    with pytest.raises(BadInput, match=r"neither \.toml nor \.json"):
        with_key(Path("keys.yaml"), b"", "shop", key)
