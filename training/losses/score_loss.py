"""A loss of scores: what a client minimises, as pure functions of the scores that it gives to all items.

Every loss here sees an item vector q_i through the score s_i = p·q_i alone. So its derivative in q_i is its slope in
s_i times p, and its derivative in p is the slopes times Q: three functions over a (clients, items) matrix of scores
say all that training needs of a loss.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class ScoreLoss(NamedTuple):
    """One loss, for a batch of clients; all of them are convex in the scores.

    Arguments of each function: scores s, shape (clients, items); met, the same shape, 1 on the items of the history
    and 0 elsewhere; alpha α, a scalar, the weight of an unmet item where the loss has one.

    value: (scores, met, alpha) to the loss of each client, shape (clients,).
    slope: (scores, met, alpha) to its derivative in each score, shape (clients, items).
    bend: (scores, met, alpha, along) to its second derivative in the scores times `along`, both (clients, items).
    """

    value: Callable[[Any, Any, Any], Any]
    slope: Callable[[Any, Any, Any], Any]
    bend: Callable[[Any, Any, Any, Any], Any]
