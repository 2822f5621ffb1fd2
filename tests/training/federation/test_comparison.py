"""A candidate beside production: both by the same people and items, held against a ranking written out by hand."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from feature_store.checkpoint import Checkpoint
from feature_store.errors import BadInput
from feature_store.events import Event
from feature_store.fold_in import FoldInSettings, fold_in
from feature_store.item_item import ItemItem
from feature_store.manifest import CheckpointManifest
from feature_store.memory import open_memory
from feature_store.vocabulary import ItemVocabulary
from tests.training.federation.local_cells import RUN_ID, LocalExchange
from tests.training.federation.secure_cells import NODE_KEYS, PINNED, RecordingExchange
from training.client_update import ITEM_COUNTS
from training.evaluation import Quality
from training.federation.adding import Adding, plainly
from training.federation.cell import TrainingCell
from training.federation.comparison import Comparison, compare, require_comparable
from training.federation.errors import TooFewCells
from training.federation.exchange import Exchange
from training.federation.federated_run import FederatedRun, loss_settings, prepare_federated
from training.federation.flower_transport import FlowerTransport, Traffic, take_up
from training.federation.secure_adding import Securely
from training.federation.secure_cell import Identity, SecureCell
from training.item_features import ItemFeatures
from training.server_state import ServerState
from training.settings import TrainingSettings
from training.transport import Cohorts

ITEMS, KNOWN, SINCE = 40, 30, 1.5e9  # production knows the first 30; its training read the events at SINCE
VOCABULARY = ItemVocabulary(f"item-{row}" for row in range(ITEMS))
SETTINGS = TrainingSettings.model_validate({"dim": 8, "alpha": 0.2, "cohort": 24, "rounds": 2, "patience": 0})
RANDOM = np.random.default_rng(5)
HISTORIES = {f"p{person:02}": RANDOM.permutation(ITEMS)[:10].tolist() for person in range(24)}
HELD_OUT = 0.3  # 3 of 10


def new_of(person: str) -> int:
    """How many of a person's newest items were met after production's training: none to two."""
    return int(person[1:]) % 3


def events(people: Sequence[str]) -> list[Event]:
    return [
        Event(f"e{place}", person, f"item-{row}", "click", (SINCE if place >= 10 - new_of(person) else 1e9) + place)
        for person in people
        for place, row in enumerate(HISTORIES[person])
    ]


def cells(folder: Path, parts: dict[str, Sequence[str]]) -> dict[str, TrainingCell]:
    made = {}
    for name, people in parts.items():
        stores = open_memory()
        asyncio.run(stores.events.put(events(people)))
        (folder / name).mkdir(parents=True)
        made[name] = TrainingCell(stores, None, folder / name, 2)
    return made


PARTS: dict[str, Sequence[str]] = {"cell-a": sorted(HISTORIES)[:14], "cell-b": sorted(HISTORIES)[14:]}


def production(*, items: int = KNOWN, item_item: ItemItem | None = None) -> Checkpoint:
    vectors = np.random.default_rng(9).normal(size=(items, 6)).astype(np.float32) * 0.3
    manifest = CheckpointManifest.model_validate(
        {
            "checkpoint_id": "r0001-aaaa",
            "created": datetime.fromtimestamp(SINCE + 1e6, UTC),
            "round_number": 1,
            "dim": 6,
            "catalogues": {"shop": [[0, items]]},
            "fold_in": {"alpha": 0.5, "regularization": 0.05},
            "blend": {"weight": 0.0, "people": 1},
            "training": {"events_until": SINCE},
            "files": {},
        }
    )
    counts = np.ones(items, np.float32)
    vocabulary = ItemVocabulary(f"item-{row}" for row in range(items))
    return Checkpoint(manifest, vocabulary, vectors, vectors.T @ vectors, counts, item_item)


def run_over(exchange: Exchange, before: Checkpoint | None, quorum: int = 2, adding: Adding = plainly) -> FederatedRun:
    traffic, since = Traffic(), SINCE if before else 0.0
    taken_up = take_up(exchange, RUN_ID, VOCABULARY, HELD_OUT, quorum, traffic, adding=adding, since=since)
    cohorts = Cohorts(SETTINGS.cohort, taken_up.clients, SETTINGS.seed)
    loss = loss_settings(SETTINGS, ITEMS)
    transport = FlowerTransport(exchange, RUN_ID, taken_up, cohorts, loss, quorum, traffic, adding=adding)
    return prepare_federated(VOCABULARY, ItemFeatures(ITEMS), SETTINGS, transport, production=before)


def a_state(run: FederatedRun) -> ServerState:
    met = [sum(row in rows for rows in HISTORIES.values()) for row in range(ITEMS)]
    counts = np.array(met, np.float32) + np.arange(ITEMS, dtype=np.float32) / 64  # no two alike
    return replace(run.start(), statistics={**run.start().statistics, ITEM_COUNTS: counts})


def by_hand(score: np.ndarray[tuple[int], np.dtype[np.float32]], person: str, *, newer: bool) -> tuple[float, float]:
    """Recall and NDCG at 20 of one person, given the scores of the items that are ranked at all."""
    rows = HISTORIES[person]
    wanted = rows[10 - new_of(person) :] if newer else rows[7:]
    ranked = [row for row in np.argsort(-score, kind="stable").tolist() if row not in rows or row in wanted][:20]
    gains = [1 / np.log2(place + 2) for place, row in enumerate(ranked) if row in wanted]
    best = sum(1 / np.log2(place + 2) for place in range(len(wanted)))
    return len(gains) / len(wanted), sum(gains) / best


def expected(
    vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]], weights: FoldInSettings, *, newer: bool
) -> Quality:
    judged = [person for person in HISTORIES if new_of(person) or not newer]
    found = []
    for person in judged:
        known = np.array([row for row in HISTORIES[person][:7] if row < len(vectors)], np.int32)
        found.append(by_hand(vectors @ fold_in(vectors, vectors.T @ vectors, known, weights), person, newer=newer))
    recall, ndcg = np.mean(found, axis=0)
    return Quality(recall=float(recall), ndcg=float(ndcg), hr_10=0.0, coverage=0.0, users=len(judged))


def require_near(found: Quality, wanted: Quality) -> None:
    assert found.users == wanted.users
    assert (found.recall, found.ndcg) == pytest.approx((wanted.recall, wanted.ndcg), abs=1e-6)


def compared(tmp_path: Path, least_people: int) -> tuple[FederatedRun, ServerState, Comparison]:
    run = run_over(LocalExchange(cells(tmp_path, PARTS)), production())
    state = a_state(run)
    return run, state, compare(run, state, least_people)


def test_both_are_judged_by_what_people_met_after_production_was_trained(tmp_path: Path) -> None:
    run, state, found = compared(tmp_path, least_people=16)
    assert run.transport.taken_up.judged_new == 16
    assert run.transport.taken_up.new_items == sum(map(new_of, HISTORIES))
    assert found.judged_by == "newer than production"
    before = production()
    require_near(found.figures["production"], expected(before.item_vectors, before.manifest.fold_in, newer=True))
    require_near(found.figures["candidate"], expected(run.item_vectors(state), run.transport.loss.fold_in, newer=True))


def test_all_held_out_items_judge_where_too_few_people_have_newer_ones(tmp_path: Path) -> None:
    run, state, found = compared(tmp_path, least_people=17)
    assert found.judged_by == "held out"
    before = production()
    require_near(found.figures["production"], expected(before.item_vectors, before.manifest.fold_in, newer=False))
    require_near(found.figures["candidate"], expected(run.item_vectors(state), run.transport.loss.fold_in, newer=False))


def test_an_item_that_production_does_not_know_is_one_that_it_misses(tmp_path: Path) -> None:
    run = run_over(LocalExchange(cells(tmp_path, PARTS)), production())
    found = compare(run, a_state(run), 1000).figures["production"]
    reachable = [sum(row < KNOWN for row in rows[7:]) / 3 for rows in HISTORIES.values()]
    assert min(reachable) < 1
    assert found.recall <= np.mean(reachable)
    assert found.coverage <= KNOWN / ITEMS


def test_a_first_model_is_judged_beside_popularity(tmp_path: Path) -> None:
    run = run_over(LocalExchange(cells(tmp_path, PARTS)), None)
    state = a_state(run)
    found = compare(run, state, 1000)
    assert (found.judged_by, found.figures.keys()) == ("held out", {"candidate", "popularity"})
    counts = state.statistics[ITEM_COUNTS]
    figures = [by_hand(counts, person, newer=False) for person in HISTORIES]
    assert (found.figures["popularity"].recall, found.figures["popularity"].ndcg) == pytest.approx(
        tuple(np.mean(figures, axis=0)), abs=1e-6
    )


def test_cells_that_come_and_go_judge_nothing_and_those_that_come_back_do(tmp_path: Path) -> None:
    asked: list[str] = []

    def cut(about: str) -> frozenset[str]:
        asked.append(about)
        return frozenset({"cell-b"} if asked.count("evaluate") in gone and about == "evaluate" else ())

    gone = {2}
    run = run_over(LocalExchange(cells(tmp_path / "once", PARTS), cut), production(), quorum=1)
    found = compare(run, a_state(run), 16)
    assert asked.count("evaluate") == 4
    assert {quality.users for quality in found.figures.values()} == {16}
    asked.clear()
    gone = {2, 4, 6, 8, 10, 12}
    run = run_over(LocalExchange(cells(tmp_path / "always", PARTS), cut), production(), quorum=1)
    with pytest.raises(TooFewCells, match="in each of 3 attempts other cells judged the one than judged the other"):
        compare(run, a_state(run), 16)


def test_under_masks_the_figures_are_the_same(tmp_path: Path) -> None:
    three = dict(zip(NODE_KEYS, (sorted(HISTORIES)[:8], sorted(HISTORIES)[8:16], sorted(HISTORIES)[16:]), strict=True))
    plain = cells(tmp_path, three)
    secure = {
        name: SecureCell(cell, Identity(name, NODE_KEYS[name], PINNED), tmp_path / name) for name, cell in plain.items()
    }
    masked = run_over(RecordingExchange(secure), production(), adding=Securely(PINNED))
    found = compare(masked, a_state(masked), 16)
    assert found.judged_by == "newer than production"
    open_ = run_over(LocalExchange(plain), production())
    expected = compare(open_, a_state(open_), 16)
    for name, quality in found.figures.items():
        assert quality.users == expected.figures[name].users == 16
        assert quality.figures() == pytest.approx(expected.figures[name].figures(), abs=1e-6)


def test_where_nobody_has_held_out_items_nothing_is_judged(tmp_path: Path) -> None:
    run = run_over(LocalExchange(cells(tmp_path, PARTS)), production())
    nobody = replace(run.transport, taken_up=replace(run.transport.taken_up, judged=0, judged_new=0))
    found = compare(replace(run, transport=nobody), a_state(run), 2)
    assert found == Comparison({}, "nothing")


def test_production_that_ranks_by_more_than_cells_judge_by_is_not_compared() -> None:
    require_comparable(production())
    weights = ItemItem(np.array([0, 1], np.int32), np.zeros((2, 2), np.float32))
    with pytest.raises(BadInput, match="r0001-aaaa, in production, has item-item weights"):
        require_comparable(production(item_item=weights))
