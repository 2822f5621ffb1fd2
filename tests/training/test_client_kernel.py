"""The client kernel, a client and an item at a time, against arithmetic in double precision."""

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.client_kernel import TOLERANCE, add_by_item, reconstruct_clients, sort_by_item
from training.streaming import directly

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=6)


class Cohort(NamedTuple):
    """Clients with their systems, and room for what is computed of them."""

    rows: np.ndarray
    offsets: np.ndarray
    item_vectors: np.ndarray
    shared: np.ndarray
    per_item: np.ndarray
    ridges: np.ndarray
    embeddings: np.ndarray
    residuals: np.ndarray
    losses: np.ndarray
    solved: np.ndarray

    def compute(self, first: int = 0, last: int | None = None) -> "Cohort":
        memory = np.full((np.diff(self.offsets).max(), len(self.shared)), np.nan, np.float32)
        reconstruct_clients(first, len(self.ridges) if last is None else last, memory, *self)
        return self

    def client(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """X and D in double precision."""
        rows = self.rows[self.offsets[number] : self.offsets[number + 1]]
        return self.item_vectors[rows].astype(np.float64), self.shared.astype(np.float64) + self.ridges[number]


def cohort(lengths: list[int], dim: int = 4, ridge: float = 1.0, seed: int = 1) -> Cohort:
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    clients, entries = len(lengths), offsets[-1]
    return Cohort(
        rows=np.concatenate([np.empty(0, int), *(random.permutation(50)[:n] for n in lengths)]).astype(np.int32),
        offsets=offsets,
        item_vectors=random.standard_normal((50, dim)).astype(np.float32),
        shared=(ridge * random.uniform(0.5, 2, dim)).astype(np.float32),
        per_item=np.ones(dim, np.float32),
        ridges=(ridge * random.uniform(0.1, 1, clients)).astype(np.float32),
        embeddings=np.full((clients, dim), np.nan, np.float32),
        residuals=np.full(entries, np.nan, np.float32),
        losses=np.full(clients, np.nan),
        solved=np.zeros(clients, np.bool_),
    )


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 20), st.floats(0.5, 50), st.integers(0, 99))
def test_embeddings_residuals_and_losses_are_those_of_the_systems(
    lengths: list[int], dim: int, ridge: float, seed: int
) -> None:
    computed = cohort(lengths, dim, ridge, seed).compute()
    assert computed.solved.all()
    for client in range(len(lengths)):
        vectors, diagonal = computed.client(client)
        right = vectors.sum(axis=0)
        p = np.linalg.solve(vectors.T @ vectors + np.diag(diagonal), right)
        bound = 20 * TOLERANCE * np.linalg.norm(right) / diagonal.min() + 1e-7
        np.testing.assert_allclose(computed.embeddings[client], p, atol=bound)
        residuals = computed.residuals[computed.offsets[client] : computed.offsets[client + 1]]
        np.testing.assert_allclose(residuals, vectors @ p - 1, atol=1e-4)
        loss = np.square(vectors @ p - 1).sum() + diagonal @ np.square(p)
        np.testing.assert_allclose(computed.losses[client], loss, rtol=1e-4, atol=1e-6)


def test_a_client_gets_the_same_bits_alone_and_among_others_and_nobody_else_is_touched() -> None:
    lengths, together = [7, 30, 0, 12], cohort([7, 30, 0, 12]).compute()
    for client, length in enumerate(lengths):
        alone = cohort(lengths).compute(client, client + 1)
        np.testing.assert_array_equal(alone.embeddings[client], together.embeddings[client])
        assert alone.losses[client] == together.losses[client]
        assert np.isnan(np.delete(alone.embeddings, client, axis=0)).all()
        assert np.isfinite(alone.residuals).sum() == length


def test_a_client_whose_vectors_are_zero_gets_zero_and_spoils_nobody_else() -> None:
    expected, zeroed = cohort([5, 3, 4]).compute(), cohort([5, 3, 4])
    unmet = np.setdiff1d(np.arange(50), zeroed.rows)[:3]
    zeroed.rows[5:8], zeroed.item_vectors[unmet] = unmet, 0
    zeroed.compute()
    assert zeroed.solved.all()
    assert (zeroed.embeddings[1] == 0).all()
    assert zeroed.losses[1] == 3
    np.testing.assert_array_equal(zeroed.embeddings[[0, 2]], expected.embeddings[[0, 2]])


def test_a_nan_is_not_solved_and_stays_with_its_client() -> None:
    expected, broken = cohort([5, 3, 4]).compute(), cohort([5, 3, 4])
    broken.ridges[1] = np.nan
    broken.compute()
    assert broken.solved.tolist() == [True, False, True]
    np.testing.assert_array_equal(broken.embeddings[[0, 2]], expected.embeddings[[0, 2]])


def test_systems_that_are_too_hard_for_float32_are_not_solved_and_solving_directly_is_exact() -> None:
    """Columns of which the last is 10⁻⁴ of the first, and hardly any ridge: the steps stand still far from the goal."""
    hard = cohort([6, 20, 40], dim=8, ridge=1e-7)
    hard.item_vectors[:] *= np.logspace(0, -4, 8)
    hard.item_vectors[:] = hard.item_vectors @ np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0]
    hard.compute()
    assert not hard.solved.any()
    for client in range(3):
        vectors, diagonal = hard.client(client)
        p = np.linalg.solve(vectors.T @ vectors + np.diag(diagonal), vectors.sum(axis=0))
        solution = directly(vectors.astype(np.float32), diagonal.astype(np.float32))
        np.testing.assert_allclose(solution, p, rtol=1e-4)
        assert np.abs(hard.embeddings[client] - p).max() > 1e-3 * np.abs(p).max()


@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=8))
def test_entries_sorted_by_item_keep_the_order_of_the_clients(histories: list[set[int]]) -> None:
    lengths = [len(met) for met in histories]
    rows = np.array([item for met in histories for item in met], np.int32)
    whose = np.repeat(np.arange(len(histories)), lengths)
    item_offsets = np.zeros(12, np.int64)
    entries, clients = np.empty(len(rows), np.int32), np.empty(len(rows), np.int32)
    sort_by_item(rows, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), item_offsets, entries, clients)
    order = np.argsort(rows, kind="stable")
    assert entries.tolist() == order.tolist()
    assert clients.tolist() == whose[order].tolist()
    assert np.diff(item_offsets[:11]).tolist() == np.bincount(rows, minlength=10).tolist()


def test_items_get_what_their_entries_bring_on_top_of_what_they_had_and_the_others_keep_theirs() -> None:
    random = np.random.default_rng(0)
    rows = np.array([0, 2, 3, 2, 3, 3, 4], np.int32)
    offsets = np.array([0, 3, 5, 7])
    whose = np.array([0, 0, 0, 1, 1, 2, 2])
    embeddings, residuals = random.standard_normal((3, 5)).astype(np.float32), random.standard_normal(7)
    energies, residuals = np.vecdot(embeddings, embeddings), residuals.astype(np.float32)
    sorted_entries = np.zeros(7, np.int64), np.empty(7, np.int32), np.empty(7, np.int32)
    sort_by_item(rows, offsets, *sorted_entries)
    gradient, energy, counts = np.ones((5, 5), np.float32), np.ones(5, np.float32), np.ones(5, np.float32)
    add_by_item(
        1, 4, np.empty(5, np.float32), *sorted_entries, embeddings, energies, residuals, gradient, energy, counts
    )
    for item in range(5):
        here = np.flatnonzero(rows == item) if 1 <= item < 4 else np.empty(0, int)
        np.testing.assert_allclose(gradient[item], 1 + residuals[here] @ embeddings[whose[here]], rtol=1e-6)
        assert counts[item] == 1 + len(here)
        np.testing.assert_allclose(energy[item], 1 + np.square(embeddings[whose[here]]).sum(), rtol=1e-6)
