"""A file of placements."""

from pathlib import Path

import pytest

from feature_store.errors import BadInput
from serving.placements.file import parse_placements

NEWS = b"""
[front-page]
vertical = "news"
sources = [{kind = "personal"}, {kind = "fresh", share = 0.2}]
caps = [{field = "topic", most = 3}]

[start]
tenant = "shop"
"""


def test_toml_and_json_say_the_same() -> None:
    as_json = b"""{"front-page": {"vertical": "news",
                                  "sources": [{"kind": "personal"}, {"kind": "fresh", "share": 0.2}],
                                  "caps": [{"field": "topic", "most": 3}]},
                   "start": {"tenant": "shop"}}"""
    placements = parse_placements(Path("placements.toml"), NEWS)
    assert list(placements) == ["front-page", "start"]
    assert placements["front-page"].sources[1].share == 0.2
    assert placements["start"].tenant == "shop"
    assert parse_placements(Path("placements.json"), as_json) == placements


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.toml", b'[home]\ncolour = "red"', "home.colour: Extra inputs are not permitted"),
        ("p.toml", b"[home]\ncaps = [{field = 'topic', most = 0}]", "home.caps.0.most"),
        ("p.toml", b"[Home]", "placement 'Home' is not named like"),
        ("p.toml", b"", "holds no placement"),
        ("p.toml", b"[home", "is not readable as TOML"),
        ("p.toml", b"\xff", "is not readable as TOML"),
        ("p.json", b"[]", "holds a list"),
        ("p.json", b"[" * 200_000, "is not readable as JSON: it is nested too deeply"),
        ("p.toml", b"a = " + b"[" * 50_000, "is not readable as TOML: it is nested too deeply"),
        ("p.yaml", b"home:", "neither .toml nor .json"),
    ],
)
def test_what_is_wrong_is_said_by_file_placement_and_field(name: str, content: bytes, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_placements(Path(name), content)
    assert said in str(refused.value)
    assert str(refused.value).startswith(name)
