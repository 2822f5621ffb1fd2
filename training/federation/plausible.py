"""Plausible: what no sum over people can be, whoever computed it. A cell that lies within that is not found out so."""

from training.evaluation import CUTOFF
from training.federation.errors import BadMessage
from training.federation.sums import Sums

_HALF = 0.5  # people; rounding in fixed point is far below, and a lie of less changes nothing


def require_plausible(sums: Sums) -> None:
    """Raise `BadMessage`, with the numbers, for sums that no people can have.

    Of an evaluation each figure is 1 at most for a person, and each person is shown each item once, `CUTOFF` in all.
    """
    numbers = dict(sums.numbers)
    if min(numbers.values()) < 0:
        raise BadMessage(f"numbers of people, items and losses are no less than 0; got {numbers}")
    if "ndcg" not in numbers:
        return
    people, shown = numbers["people"] + _HALF, sums.arrays["shown"]
    if max(numbers.values()) > people:
        raise BadMessage(f"recall, NDCG and hits are 1 a person at most; got {numbers}")
    if shown.min() < -_HALF or shown.max() > people or shown.sum(dtype="float64") > CUTOFF * people:
        raise BadMessage(
            f"{numbers['people']:.0f} people are shown an item once each, and {CUTOFF} at most; got "
            f"{shown.min():g} to {shown.max():g} times, {shown.sum(dtype='float64'):g} in all"
        )
