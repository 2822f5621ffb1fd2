"""Options of verticals, and a training over two of them."""

from functools import partial
from pathlib import Path

import pytest

from feature_store.errors import BadInput
from hearth.sources import read_source
from hearth.verticals import Stocked, read_verticals
from tests.hearth.command import Command
from tests.hearth.world import small_world, table


def other_world(folder: Path, people: int = 60) -> Path:
    """Clicks on articles of the people of `small_world` and one more, without a catalogue."""
    folder.mkdir()
    clicks = [
        (f"p{person}", f"n{(person + n) % 9}", 880_000_000 + n, "click")
        for person in range(people + 1)
        for n in range(5)
    ]
    (folder / "interactions.csv").write_text(table(("user_id", "item_id", "timestamp", "event"), clicks))
    return folder


def read(interactions: Path | None, *verticals: str, items: Path | None = None) -> Stocked:
    return read_verticals(interactions, verticals, items, partial(read_source, valid=0.1, test=0.2))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("worlds")
    return small_world(folder / "shop"), other_world(folder / "news")


def test_one_source_is_of_one_vertical(worlds: tuple[Path, Path]) -> None:
    assert read(worlds[0]).catalogues == {"e-commerce": ((0, 40),)}
    assert read(worlds[0], "films").catalogues == {"films": ((0, 40),)}


def test_several_sources_become_one_with_the_items_and_people_of_all(worlds: tuple[Path, Path]) -> None:
    shop, news = worlds

    source, catalogues = read(None, f"shop={shop}", f"news={news}")

    assert catalogues == {"shop": ((0, 40),), "news": ((40, 49),)}
    assert source.split.vocabulary.item_ids[40:] == read(news).source.split.vocabulary.item_ids
    assert set(source.split.user_ids) == {f"p{person}" for person in range(61)}
    assert source.catalogue is not None
    assert len(source.catalogue) == 40
    assert source.catalogue["i3"].title == "Item 3"


def test_notes_name_the_vertical(tmp_path: Path, worlds: tuple[Path, Path]) -> None:
    twice = tmp_path / "twice"
    twice.mkdir()
    rows = [("p1", "x", 880_000_000, "view"), ("p1", "x", 880_000_009, "view")]
    (twice / "interactions.csv").write_text(table(("user_id", "item_id", "timestamp", "event"), rows))

    assert read(None, f"again={twice}", f"news={worlds[1]}").source.notes == (
        "again: 1 repeated interactions counted once",
    )


@pytest.mark.parametrize(
    ("source", "verticals", "items", "reason"),
    [
        ("shop", ["a", "b"], "", "has the items of one --vertical NAME"),
        ("shop", ["a=b"], "", "has the items of one --vertical NAME"),
        ("shop", ["Films"], "", "small letters, digits and hyphens, such as e-commerce; got 'Films'"),
        ("", [], "", "there is nothing to read: give --interactions PATH"),
        ("", ["news"], "", "such as news=clicks/; got 'news'"),
        ("", ["news="], "", "such as news=clicks/; got 'news='"),
        ("", ["News={news}"], "", "small letters"),
        ("", ["news={news}", "news={shop}"], "", "the vertical news is given twice"),
        ("", ["news={news}"], "items.csv", "--items is the catalogue of --interactions"),
        ("", ["news={news}", "more={news}"], "", "stands in the verticals news and more"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    worlds: tuple[Path, Path], source: str, verticals: list[str], items: str, reason: str
) -> None:
    shop, news = worlds
    given = [vertical.format(shop=shop, news=news) for vertical in verticals]
    with pytest.raises(BadInput, match=reason):
        read(shop if source else None, *given, items=shop / items if items else None)


@pytest.mark.slow
def test_one_training_over_two_verticals_publishes_the_rows_of_both(tmp_path: Path, worlds: tuple[Path, Path]) -> None:
    command, registry = Command(tmp_path), tmp_path / "registry"
    given = [
        argument
        for name, world in zip(("shop", "news"), worlds, strict=True)
        for argument in ("--vertical", f"{name}={world}")
    ]

    trained = command.run("train", *given, "--registry", registry, "--rounds", "5", "--dim", "4", "--json").json()

    manifest = command.registry(registry).manifest(trained["checkpoint_id"])
    assert manifest.catalogues == {"shop": ((0, 40),), "news": ((40, 49),)}
    assert manifest.blend.people == 61

    same = ("--checkpoint", manifest.checkpoint_id, "--registry", registry)
    judged = command.run("evaluate", *given, *same, "--json").json()
    assert judged["trained_on_this_split"] is True
    assert judged["users"] == 61
    alone = command.run("evaluate", "--split", worlds[0], *same, "--json").json()
    assert (alone["trained_on_this_split"], alone["users"]) == (False, 60)

    small = ("--study", tmp_path / "study", "--rounds", "5", "--dim", "4", "--trials", "1")
    tuned = command.run("tune", *given, *small, "--json").json()
    assert tuned["valid_ndcg@20"]["start"] == trained["valid"]["ndcg@20"]
