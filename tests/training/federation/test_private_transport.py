"""A private training over cells: the numbers of one in one place, with enough noise whoever stays, paid for first."""

from pathlib import Path

import numpy as np
import pytest

from feature_store.arrays import Float64Array
from tests.training.federation.private_cells import (
    RUN_ID,
    SETTINGS,
    SPLIT,
    PrivateExchange,
    in_the_clear,
    private_cells,
    run_over,
    transport_to,
    under_masks,
)
from tests.training.federation.secure_cells import PINNED
from training.client_update import ITEM_COUNTS
from training.federation.errors import TooFewCells
from training.federation.secure_adding import Securely
from training.privacy.accountant import cost_of
from training.privacy.ledger import Budget, BudgetSpent, Entry, FileLedger, MemoryLedger, cost_so_far
from training.privacy.noise import repeatable_noise
from training.privacy.release import ALONG, COUNTS, GRAM, NOISE, Releases
from training.run import prepare
from training.server_state import ServerState
from training.settings import TrainingSettings

NOTHING_KNOWN = np.empty((40, 0), np.float32)


def no_noise(numbers: int) -> Float64Array:
    return np.zeros(numbers)


def last(run: object, state: ServerState) -> ServerState:
    for after, _ in run.rounds(state):  # type: ignore[attr-defined]  # of a run in one place, or over cells
        state = after
    return state


def test_three_sums_over_three_cells_are_those_of_one_place_with_the_same_noise(tmp_path: Path) -> None:
    shares = [repeatable_noise(seed) for seed in (11, 12, 13)]

    def together(numbers: int) -> Float64Array:
        return sum((noise(numbers) for noise in shares), np.zeros(numbers)) / np.sqrt(3)

    here = prepare(SPLIT, SETTINGS, releases=Releases(MemoryLedger(), together))
    run = run_over(transport_to(PrivateExchange(in_the_clear(private_cells(tmp_path), together=3)), noise_cells=3))
    expected, found = last(here, here.start()), last(run, run.start())
    assert found.round_number == 3
    for name in (COUNTS, ITEM_COUNTS, "popularity"):
        np.testing.assert_allclose(found.statistics[name], expected.statistics[name], rtol=1e-5, atol=1e-5)
    products = (vectors @ vectors.T for vectors in (run.item_vectors(found), here.item_vectors(expected)))
    np.testing.assert_allclose(*products, atol=1e-3)  # the directions may point the other way
    assert here.test(found).ndcg > 0.2


def test_under_masks_the_server_has_the_same_total_and_no_cells_sum(tmp_path: Path) -> None:
    plain = PrivateExchange(in_the_clear(private_cells(tmp_path / "a"), together=2))
    expected = last(clear := run_over(transport_to(plain, noise_cells=2)), clear.start())
    masked = PrivateExchange(under_masks(private_cells(tmp_path / "b"), tmp_path / "b"))
    run = run_over(transport_to(masked, noise_cells=2, adding=Securely(PINNED)))
    found = last(run, run.start())
    for name in (COUNTS, "directions", "gram_noise"):
        np.testing.assert_allclose(found.statistics[name], expected.statistics[name], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(run.item_vectors(found), clear.item_vectors(expected), atol=1e-4)
    words = [reply for about, _, _, reply in masked.said if f"{GRAM}," in about and "masked sums" in about]
    assert {len(reply) for reply in words} == {len(words[0])}
    numbers = 40 * 41 // 2
    assert 0 < len(words[0]) - 4 * numbers < 100  # a word of 32 bits for each number, and little besides


@pytest.mark.parametrize("missing", [frozenset[str](), frozenset({"cell-b"})])
def test_whoever_stays_the_noise_of_the_total_is_at_least_what_was_planned(
    tmp_path: Path, missing: frozenset[str]
) -> None:
    def cut(about: str) -> frozenset[str]:
        return missing if "masked sums" in about and "start" not in about else frozenset()

    def released(folder: Path, noises: dict[str, object] | None) -> tuple[Float64Array, float, float]:
        cells = private_cells(folder, noises)  # type: ignore[arg-type]  # noise of every cell
        private = transport_to(PrivateExchange(under_masks(cells, folder), cut), 2, Securely(PINNED))
        update = private.round(1, np.linspace(9, 1, 40, dtype=np.float32)[:, None])
        return update.sums[GRAM].astype(float), float(update.sums[NOISE][0]), private.planned.deviation(GRAM)

    clean, _, _ = released(tmp_path / "clean", dict.fromkeys(PINNED, no_noise))
    noised, said, planned = released(tmp_path / "noised", None)
    cells = 3 - len(missing)
    assert said == pytest.approx(planned * np.sqrt(cells / 2))
    measured = np.std(noised - clean)  # of 820 numbers: sure to 2.5 %
    assert measured == pytest.approx(said, rel=0.1)
    assert measured > 0.9 * planned


def test_in_the_clear_each_cells_own_sum_has_all_the_noise_that_is_promised(tmp_path: Path) -> None:
    cells = private_cells(tmp_path / "noised")
    private = transport_to(PrivateExchange(in_the_clear(cells)), noise_cells=1)
    known = np.linspace(9, 1, 40, dtype=np.float32)[:, None]
    update = private.round(1, known)
    quiet = private_cells(tmp_path / "clean", dict.fromkeys(PINNED, no_noise))
    clean = transport_to(PrivateExchange(in_the_clear(quiet)), noise_cells=1).round(1, known)
    planned = private.planned.deviation(GRAM)
    assert update.sums[NOISE][0] == pytest.approx(planned * np.sqrt(3))
    assert np.std(update.sums[GRAM] - clean.sums[GRAM]) == pytest.approx(planned * np.sqrt(3), rel=0.1)


def test_cells_whose_sums_are_seen_one_by_one_add_no_share_of_the_noise_but_all_of_it(tmp_path: Path) -> None:
    private = transport_to(PrivateExchange(in_the_clear(private_cells(tmp_path))), noise_cells=2)
    with pytest.raises(TooFewCells, match="the noise of 2 cells is to be enough, and the sum may be of 1"):
        private.round(0, NOTHING_KNOWN)


def test_centre_and_cells_have_paid_the_budget_when_the_training_is_over(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    cells = private_cells(tmp_path)
    run = run_over(transport_to(PrivateExchange(in_the_clear(cells)), noise_cells=1, ledger=ledger))
    state = last(run, run.start())
    for each in (ledger, *(releases.ledger for releases in cells.releases.values())):
        assert [(entry.run, entry.released) for entry in each.entries()] == [
            (RUN_ID, name) for name in (COUNTS, GRAM, ALONG)
        ]
        assert cost_so_far(each.entries()) == pytest.approx(cost_of(8, 1e-5))
    draft = run.draft(state, {"shop": ((0, 40),)})
    assert draft.privacy is not None
    assert (draft.privacy.epsilon, draft.privacy.run_epsilon) == (8, 8)
    assert draft.metrics == {}


def test_a_centre_whose_budget_is_spent_asks_no_cell_for_anything(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    ledger.spend(Entry(released="another training", cost=cost_of(4, 1e-5)), Budget(epsilon=8, delta=1e-5))
    exchange = PrivateExchange(in_the_clear(cells := private_cells(tmp_path)))
    private = transport_to(exchange, noise_cells=1, ledger=ledger)
    asked = len(exchange.said)
    with pytest.raises(BudgetSpent, match="what is left of this training would bring"):
        private.round(0, NOTHING_KNOWN)
    assert len(exchange.said) == asked
    assert len(ledger.entries()) == 1
    assert not any(releases.ledger.entries() for releases in cells.releases.values())


def test_cells_whose_budget_does_not_reach_for_all_of_a_training_do_not_begin_it(tmp_path: Path) -> None:
    cells = private_cells(tmp_path, budget=Budget(epsilon=6, delta=1e-5))
    private = transport_to(PrivateExchange(in_the_clear(cells)), noise_cells=1)
    said = "cell-a: Refused: what is left of this training would bring .* and the budget is 6"
    with pytest.raises(TooFewCells, match=said):
        private.round(0, NOTHING_KNOWN)
    assert not any(releases.ledger.entries() for releases in cells.releases.values())


def test_a_run_that_goes_on_in_another_process_pays_for_no_release_twice(tmp_path: Path) -> None:
    ledger, exchange = MemoryLedger(), PrivateExchange(in_the_clear(cells := private_cells(tmp_path)))
    first = transport_to(exchange, noise_cells=1, ledger=ledger).round(0, NOTHING_KNOWN)
    again = transport_to(exchange, noise_cells=1, ledger=ledger).round(0, NOTHING_KNOWN)
    assert np.array_equal(first.sums[COUNTS], again.sums[COUNTS])
    assert len(ledger.entries()) == 1
    assert [len(releases.ledger.entries()) for releases in cells.releases.values()] == [1, 1, 1]
    other = transport_to(exchange, noise_cells=1, ledger=ledger, run_id="run-other")
    with pytest.raises(BudgetSpent):
        other.round(0, NOTHING_KNOWN)


def test_counts_of_people_stand_for_everybody_where_a_cell_was_away(tmp_path: Path) -> None:
    quiet = private_cells(tmp_path, dict.fromkeys(PINNED, no_noise))
    cut = frozenset({"cell-c"})
    exchange = PrivateExchange(in_the_clear(quiet), lambda about: cut if COUNTS in about else frozenset())
    run = run_over(transport_to(exchange, noise_cells=1))
    state, report = next(run.rounds(run.start()))
    assert report.cohort == 200
    assert state.statistics[ITEM_COUNTS].sum() == pytest.approx(300 * 12, rel=0.01)


def test_a_federation_of_many_people_looks_at_fewer_items_where_more_noise_comes_together(tmp_path: Path) -> None:
    settings = TrainingSettings.model_validate({"dim": 4, "privacy": {"epsilon": 0.5, "delta": 1e-5}})
    exchange = PrivateExchange(in_the_clear(private_cells(tmp_path)))
    alone = transport_to(exchange, 1, settings=settings).planned.items
    together = transport_to(exchange, 3, settings=settings).planned.items
    assert alone < together
    assert alone == pytest.approx(together / np.sqrt(3), rel=0.2)
