"""The page on placements names all that a file of placements can say."""

import re
import tomllib
from typing import get_args

from pydantic import BaseModel

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
