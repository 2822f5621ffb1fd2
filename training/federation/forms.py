"""Forms: what is to come back for a task, from the task alone. Server and cell arrive at the same, each by itself.

The bounds hold for every cell that computes as it should, whatever its people did: they follow from what the server
announces (people, items, the weights of the loss) and from nobody's data. So a cell can refuse others, which might
have been chosen to find out how large its numbers are, and one that is asked for these never has numbers beyond them.

Of the update of one client with n items met, from the equation that its user embedding p solves (`feature_store.
fold_in`; with s_i = p·q_i for an item met, and ρ = λ(n + α·items)):

    Σ s_i² + α Σ_j (p·q_j)² + ρ|p|² = Σ s_i            multiply the equation by p
    ρ|p|² ≤ Σ (s_i − s_i²) ≤ n/4                       as s − s² is 1/4 at most
    (s_i − 1/2)² + ρ|p|² ≤ n/4                         the same, with one item kept apart
    |s_i − 1||p| ≤ (√n/2 + n/4)/(2√ρ)                  as |s_i − 1| ≤ 1/2 + a, with a² + ρ|p|² ≤ n/4, and 2ab ≤ a² + b²
    0 ≤ loss = n − Σ s_i ≤ n

Conjugate gradients that stop early have the same first line, as each of their steps is orthogonal to what is left. A
client's sums are weighed by n^(−x); the largest over n = 1 to all items is taken, times all people who may take part.
Where one person's part is bounded (`training.user_bound`), w|s_i − 1||p| and w|p|² are no more than that bound either.
"""

import math
from collections.abc import Mapping

import numpy as np

from feature_store.arrays import Float64Array
from training.client_update import ACTIVITY, ITEM_COUNTS
from training.compression.announcement import Announcement
from training.compression.client import ENERGY, GRAM, LENGTHS, WORDS
from training.compression.digits import WORD_BITS, words_for
from training.compression.sizes import WIDE
from training.federation.compressed_rounds import announcement_of
from training.federation.private_forms import private_form
from training.federation.sums import Form
from training.federation.tasks import (
    AdoptionTask,
    CompressedTask,
    EvaluationTask,
    LossSettings,
    PopulationTask,
    PrivateTask,
    RoundTask,
    TaskMessage,
)
from training.secure_aggregation.fixed_point import largest

MOST_PEOPLE = 1 << 40
"""In a federation; so large a population is none."""
_MOST_MET = (
    1 << 52
)  # items, counted once for each person: beyond it a float64 would round them, and so would the fields
_SLACK = 1.01  # float32 rounds what is computed with it
_LENGTHS = 4096  # history lengths looked at


def counts_form(people: tuple[str, ...], items: tuple[str, ...] = ()) -> Form:
    """Counts of people, and of items that people have met, by name."""
    most = dict.fromkeys(people, float(MOST_PEOPLE)) | dict.fromkeys(items, float(_MOST_MET))
    return Form(tuple(sorted(most)), {}, most)


POPULATION = counts_form(("clients", "judged", "judged_new", "unreadable"), ("new_items", "unknown_items"))
PEOPLE = counts_form(("clients",))
ADOPTION = counts_form(("failed", "folded", "people"))


def form_of(task: TaskMessage) -> Form:
    """The form of the sums that this task asks for."""
    match task.header:
        case PopulationTask() as header:
            return PEOPLE if header.private else POPULATION
        case AdoptionTask():
            return ADOPTION
        case PrivateTask() as header:
            return private_form(task, header)
        case EvaluationTask() as header:
            people = min(header.most, header.population) if header.most else header.population
            return evaluation_form(len(task.arrays["item_vectors"]), people)
        case CompressedTask() as header:
            return compressed_form(header, announcement_of(header, task.arrays))
        case RoundTask() as header:
            items, dim = task.arrays["item_vectors"].shape
            return round_form(items, dim, min(header.cohort, header.population), header.loss)


def round_form(items: int, dim: int, people: int, loss: LossSettings) -> Form:
    """The sums of a round: those of `training.reconstruction.curvature_update`, the losses and the clients.

    people: that take part at most.
    """
    shapes = {"item_gradient": (items, dim), "user_gram": (dim, dim), "item_energy": (items,)}
    most = _most_of_one(items, loss)
    bounds = {
        "clients": float(people),
        "loss": people * items * _SLACK,
        "item_gradient": people * most["gradient"],
        "user_gram": people * most["energy"],
        "item_energy": people * most["energy"],
        ITEM_COUNTS: float(people),
        ACTIVITY: people * _SLACK,
    }
    whole = {name: power_of_two(bound) for name, bound in bounds.items()}
    words = {"user_gram": 2, ACTIVITY: 2}  # few numbers
    if loss.row_bound is None:  # what one person might add is far above what they do
        words |= {"item_gradient": 2, "item_energy": 2}
    return Form(("clients", "loss"), shapes | {ITEM_COUNTS: (items,), ACTIVITY: (1,)}, whole, words)


def compressed_form(header: CompressedTask, asked: Announcement) -> Form:
    """The sums of a compressed round: those of `training.compression.client.compressed`.

    A row of the whole gradient is no longer than those of its three terms together, with |q| of the announced vectors.
    """
    items, dim = asked.table.shape
    numbers, words = {"clients": float(header.population), "loss": header.population * items * _SLACK}, {GRAM: WIDE}
    shapes: dict[str, tuple[int, ...]] = {GRAM: (dim * (dim + 1) // 2,)}
    most, people = _most_of_one(items, header.loss), header.population
    bounds = {**numbers, GRAM: people * most["energy"]}
    if asked.is_survey:
        shared = header.loss.alpha * most["energy"] + header.loss.regularization * (1 + header.loss.alpha)
        longest = float(np.sqrt(np.vecdot(asked.vectors, asked.vectors).max(initial=0)))
        bounds |= {
            ENERGY: people * most["energy"],
            LENGTHS: people * (most["gradient"] + shared * longest) * _SLACK,
            ITEM_COUNTS: float(people),
            ACTIVITY: people * _SLACK,
        }
        shapes |= {ENERGY: (items,), LENGTHS: (items,), ITEM_COUNTS: (items,), ACTIVITY: (1,)}
        words |= dict.fromkeys((ENERGY, LENGTHS, ITEM_COUNTS, ACTIVITY), WIDE)
    whole = {name: power_of_two(bound) for name, bound in bounds.items()}
    if not asked.is_survey:
        count = words_for(int(np.count_nonzero(asked.steps)) * dim, header.levels, header.cells)
        shapes[WORDS], whole[WORDS] = (count,), float(largest(WORD_BITS, header.cells))
    return Form(tuple(numbers), shapes, whole, words, WORD_BITS)


def evaluation_form(items: int, people: int) -> Form:
    """The sums of an evaluation: over the people judged; `shown` counts how often an item was in a top 20.

    people: that are judged at most.
    """
    numbers = ("hr_10", "ndcg", "people", "recall")
    most = power_of_two(people * _SLACK)
    return Form(numbers, {"shown": (items,)}, dict.fromkeys((*numbers, "shown"), most))


def power_of_two(bound: float) -> float:
    """The least power of two that is no smaller: machines that round a formula otherwise have the same bound."""
    return math.ldexp(1.0, math.ceil(math.log2(bound)))


def _most_of_one(items: int, loss: LossSettings) -> Mapping[str, float]:
    """The largest absolute value that one client adds to a number of the gradient, and of |p|² and p pᵀ."""
    # Both are smooth in log n, and looked at closely enough that between two lengths they grow by less than the slack.
    lengths: Float64Array = np.geomspace(1, items, min(items, _LENGTHS))
    ridge = loss.regularization * (lengths + loss.alpha * items)
    weight = lengths**-loss.activity_exponent
    gradient = weight * (np.sqrt(lengths) / 2 + lengths / 4) / (2 * np.sqrt(ridge))
    most = math.inf if loss.row_bound is None else loss.row_bound
    return {
        "gradient": min(float(gradient.max()), most) * _SLACK,
        "energy": min(float((weight * lengths / (4 * ridge)).max()), most) * _SLACK,
    }
