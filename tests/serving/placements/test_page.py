"""The page on placements names all that a file of placements can say."""

import re
import tomllib
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from feature_store.item_schemas import Article, Post, Product
from serving.assortment.assortment import item_names, item_numbers, times_of
from serving.placements.settings import Cap, Diversity, Placement, Repeats, Rule, SourceSettings
from tests.serving.running import ROOT

PAGE = (ROOT / "docs" / "placements.md").read_text()
SOURCES: tuple[type[BaseModel], ...] = get_args(get_args(SourceSettings)[0])


def test_the_page_names_every_setting() -> None:
    kinds = {str(source.model_fields["kind"].default) for source in SOURCES}
    fields = {
        name for settings in (Placement, Rule, Cap, Repeats, Diversity, *SOURCES) for name in settings.model_fields
    }
    named = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
    assert fields | kinds <= named


def test_the_defaults_in_the_page_are_those_of_the_settings() -> None:
    further = {source.model_fields["kind"].default: source for source in SOURCES}
    for kind, name, value in (
        ("fresh", "prior_clicks", "1"),
        ("fresh", "prior_shows", "20"),
        ("graph", "people", "50"),
        ("graph", "weight", "0.5"),
        ("new_authors", "fewer_than", "5"),
    ):
        assert f"`{name}` {value}" in PAGE
        assert further[kind].model_fields[name].default == float(value)
    assert f"weight {Diversity().weight}" in PAGE
    assert Repeats().default == "hide"


def test_the_files_in_the_page_are_files_of_placements() -> None:
    files = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert files
    for file in files:
        for placement in tomllib.loads(file).values():
            Placement.model_validate(placement)


def columns() -> dict[str, dict[str, str]]:
    """Of each kind of items, as the page's table has them: setting -> what it does."""
    table = PAGE.split("### Which settings are for what")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {kind: {row[0]: row[at] for row in rows[2:] if at < len(row)} for at, kind in enumerate(rows[0]) if at}


def test_what_the_page_says_of_ads_is_refused_and_the_rest_is_taken() -> None:
    said = {
        "in_stock": {"in_stock": False},
        "half_life_hours": {"half_life_hours": 6.0},
        "sources": {"sources": [{"kind": "popular"}]},
        "rank_by": {"rank_by": "popular"},
        "fresh": {"sources": [{"kind": "personal"}, {"kind": "fresh", "max_age_hours": 3.0}]},
        "graph": {"sources": [{"kind": "personal"}, {"kind": "graph"}]},
        "new_authors": {"sources": [{"kind": "personal"}, {"kind": "new_authors"}]},
        "respects_graph": {"respects_graph": True},
        "diversity": {"diversity": {"weight": 0.2}},
        "sponsored": {"sponsored": {"placement": "banner"}},
        "tenant": {"tenant": "shop"},
        "where": {"where": {"topic": ["tea"]}},
        "repeats": {"repeats": {"default": "show"}},
        "caps": {"caps": [{"field": "advertiser", "most": 1}]},
        "rules": {"rules": [{"when": {"topic": ["tea"]}, "then": "hide"}]},
        "boost": {"rules": [{"when": {"topic": ["tea"]}, "then": "boost", "factor": 2.0}]},
        "promote": {"rules": [{"when": {"topic": ["tea"]}, "then": "promote", "position": 1}]},
    }
    in_page = {setting: does for rows, does in columns()["ads"].items() for setting in re.findall(r"[a-z_]+", rows)}
    in_page["rules"] = columns()["ads"]["`tenant`, `where`, `repeats`, `caps`, `rules` that hide"]
    banner = {"vertical": "ads", "ads": {"currency": "EUR"}}
    for setting, settings in said.items():
        if in_page[setting] == "refused":
            with pytest.raises(ValidationError):
                Placement.model_validate({**banner, **settings})
        else:
            assert Placement.model_validate({**banner, **settings}).ads is not None
    with pytest.raises(ValidationError):
        Placement.model_validate({"ads": banner["ads"]})
    for setting in ("half_life_hours", "diversity"):
        assert Placement.model_validate({"vertical": "news", **said[setting]}).ads is None


def test_settings_count_for_the_items_that_have_the_field() -> None:
    items = {
        "products (e-commerce)": Product(item_id="a", vertical="e-commerce", stock=0),
        "articles (news)": Article(item_id="a", vertical="news", published=1.0),
        "posts (social)": Post(item_id="a", vertical="social", author="bob", created=1.0),
    }
    for kind, item in items.items():
        does = columns()[kind]
        assert (does["`half_life_hours`"] != "nothing") == (times_of(item).appeared is not None)
        assert (does["`respects_graph`"] != "nothing") == ("author" in item_names(item))
        assert (does["`in_stock`"] != "nothing") == ("stock" in item_numbers(item))
