"""Verticals together, on a world whose people have one taste in all of them."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.market import LEAST_BUYERS, Market, hide, market_of, read_domains
from benchmarks.verticals import Weights, measure_verticals
from feature_store.errors import BadInput
from feature_store.row_ranges import rows_of
from feature_store.vocabulary import ItemVocabulary
from training.interactions import Interactions
from training.settings import TrainingSettings

PEOPLE, ITEMS, EACH = 60, 60, 25  # items of a domain, and how many of both domains a person meets
DOMAINS = {"shop": [f"s{row}" for row in range(ITEMS)], "news": [f"n{row}" for row in range(ITEMS)]}


def a_world() -> Interactions:
    """Even people meet even items of both domains, odd people odd ones, in a random order at equal steps of time."""
    random = np.random.default_rng(5)
    items = [f"{prefix}{row}" for row in range(ITEMS) for prefix in "ns"] + ["x0"]
    row_of = {item_id: row for row, item_id in enumerate(items)}
    met = []
    for person in range(PEOPLE):
        liked = [
            f"{prefix}{row}" for prefix in "sn" for row in random.permutation(np.arange(person % 2, ITEMS, 2))[:EACH]
        ]
        met += [(person, row_of[item_id], time) for time, item_id in enumerate(random.permutation(liked))]
        met.append((person, row_of["x0"], 0))
    users, rows, times = (np.array(column) for column in zip(*met, strict=True))
    return Interactions(
        ItemVocabulary(items),
        tuple(f"p{person}" for person in range(PEOPLE)),
        ("view",),
        users.astype(np.int32),
        rows.astype(np.int32),
        np.zeros(len(met), np.int32),
        times.astype(np.float64),
        np.full(len(met), np.nan, np.float32),
    )


@pytest.fixture(scope="module")
def market() -> Market:
    return market_of(a_world(), DOMAINS)


def test_a_market_has_the_items_of_its_domains_that_enough_people_met_early(market: Market) -> None:
    world = a_world()
    item_ids = market.interactions.vocabulary.item_ids
    early = world.timestamps < market.cuts.valid_from
    buyers = np.bincount(world.items[early], minlength=len(world.vocabulary))

    assert set(item_ids) == {
        item_id
        for row, item_id in enumerate(world.vocabulary.item_ids)
        if buyers[row] >= LEAST_BUYERS and item_id != "x0"
    }
    for domain, prefix in (("shop", "s"), ("news", "n")):
        assert {item_ids[row][0] for row in rows_of(market.catalogues[domain])} == {prefix}
    named = {
        (u, world.vocabulary.item_ids[i], t) for u, i, t in zip(world.users, world.items, world.timestamps, strict=True)
    }
    found = market.interactions
    assert {(u, item_ids[i], t) for u, i, t in zip(found.users, found.items, found.timestamps, strict=True)} == {
        met for met in named if met[1] in item_ids
    }


def test_of_cold_people_nothing_in_the_domain_is_known_and_all_elsewhere_is(market: Market) -> None:
    cold, rows, tuning, final = hide(market, "news", seed=1)
    open_cold, _, whole, _ = hide(market, "news", seed=1, share=0.0)

    assert (cold.sum(), open_cold.sum()) == (12, 0)
    for person in range(PEOPLE):
        hidden = set(rows.tolist()) if cold[person] else set()
        everything = set(whole.train[person].tolist())
        assert set(final.train[person].tolist()) == everything - hidden == set(tuning.train[person].tolist())
        if cold[person]:
            assert not set(final.valid[person].tolist()) & hidden
        assert set(tuning.valid[person].tolist()) == set(whole.valid[person].tolist())


def test_a_taste_shown_in_one_domain_helps_in_the_other(market: Market) -> None:
    settings = TrainingSettings(dim=4, rounds=8, cohort=PEOPLE, patience=0)

    figures = measure_verticals(market, settings, [1], lambda _: None, [Weights(20.0, 0.02)])

    for domain in figures["domains"].values():
        cold, warm = domain["cold"], domain["warm"]
        assert cold["together"]["recall@20"]["mean"] > 1.2 * cold["popular"]["recall@20"]["mean"]
        assert cold["apart"] == cold["popular"]  # a model of the domain alone has nothing to go by
        assert cold["together_over"]["apart"] == cold["together_over"]["popular"]
        assert warm["together"]["recall@20"]["mean"] > 0.95 * warm["apart"]["recall@20"]["mean"]
        assert warm["apart"]["recall@20"]["mean"] > 1.2 * warm["popular"]["recall@20"]["mean"]


def test_domains_are_read_from_a_catalogues_departments(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("item_id,department\n1,MEAT\n2,GROCERY\n3,FUEL\n4,DELI\n")

    assert read_domains(file, {"fresh": ("MEAT", "DELI"), "dry": ("GROCERY",)}) == {"fresh": ["1", "4"], "dry": ["2"]}


def test_a_domain_without_items_is_refused() -> None:
    with pytest.raises(BadInput, match="no item of domain 'ads' was met by 10 people"):
        market_of(a_world(), {"ads": ["x0x"]})
