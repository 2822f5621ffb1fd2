"""Recall of the index, probed on live traffic: of the items that are best for a person, how many does the index find?

Some replies are chosen by their recommendation id. Once such a reply was sent, the index is asked again what it was
asked for it, under the same eligibility, and every vector of the shelf is multiplied with the query in float32. Where
scores are equal, either item counts as found. An exact index has recall 1; this is how one that is not shows it.

One probe is under way at a time and one may wait; where more come they are left out. Eligibility is worked out on the
event loop, as assortments change there; index and scan run in a thread, and numpy lets requests go on meanwhile.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from feature_store.arrays import BoolArray, Float32Array
from serving.assignment import fraction
from serving.metrics import Metrics
from serving.recommend import asked_of
from serving.request import Person, RecommendationRequest
from serving.shelf import Shelf
from serving.view import View

_LOG = logging.getLogger("serving.recall")
_SALT = "recall"


@dataclass(frozen=True, slots=True, eq=False)
class Probed:
    """A reply whose retrieval is looked at: what was asked, of which placement, and what it was made from."""

    placement: str
    asked: RecommendationRequest
    person: Person | None
    view: View


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """What an index is asked for a reply.

    query: shape (numbers,).
    k: items that the reply has at most.
    depth: items that the index is asked for, at least k.
    eligible: which of the shelf it may give, shape (n,).
    """

    shelf: Shelf
    query: Float32Array
    k: int
    depth: int
    eligible: BoolArray


class RecallProbe:
    """Takes replies and measures, for the metric `hearth_index_recall`.

    share: of the replies, 0 for none.
    """

    def __init__(self, share: float, metrics: Metrics) -> None:
        self._share, self._metrics = share, metrics
        self._waiting: asyncio.Queue[Probed] = asyncio.Queue(maxsize=1)

    def probes(self, recommendation_id: str) -> bool:
        """Whether that reply is one of the share."""
        return fraction(_SALT, recommendation_id) < self._share

    def offer(self, probed: Probed) -> bool:
        """Have the reply looked at, unless another one waits for that; whether it will be."""
        if self._waiting.full():
            return False
        self._waiting.put_nowait(probed)
        return True

    async def run(self) -> NoReturn:
        """Look at one reply after the other, until cancelled."""
        while True:
            probed = await self._waiting.get()
            one = asyncio.create_task(self.measure(probed))
            try:
                await asyncio.wait([one])
            finally:
                one.cancel()
            if not one.cancelled() and (error := one.exception()) is not None:
                # Nobody waits for a probe, and none of its faults may end the server.
                _LOG.error("recall not probed", extra={"fields": {"reason": type(error).__name__}})
            del probed, one  # or the model of the last probe would stay in memory until the next one

    async def measure(self, probed: Probed) -> None:
        """Look at one reply; those that no index had a part in are passed over."""
        retrieval, model = retrieval_of(probed), probed.view.model
        if retrieval is not None and model is not None:
            recall = await asyncio.to_thread(recall_of, retrieval)
            self._metrics.index_recall.labels(probed.placement, model.model_id).observe(recall)


def retrieval_of(probed: Probed) -> Retrieval | None:
    """What the index was asked for the reply, as `serving.sources.known.personal` asks it; None where it was not.

    It is not asked for ads, for those of whom nothing is known, or where no item is eligible. Items to whose scores
    something is added it is not asked for (`serving.shelf.Shelf.closest`).
    """
    view = probed.view
    shelf, source = view.assortment.shelf, view.placement.source("personal")
    if shelf is None or source is None or view.placement.ads is not None:
        return None
    asked = asked_of(probed.asked, probed.person, view)
    if asked.query is None:
        return None
    eligible = asked.eligible[: len(shelf.rows)].copy()
    if asked.query.added is not None:
        eligible[shelf.places(asked.query.added.rows)] = False
    if not eligible.any():
        return None
    k = probed.asked.k
    return Retrieval(shelf, asked.query.vector, k, max(source.depth, k), eligible)


def recall_of(retrieval: Retrieval) -> float:
    """Of the k best items, or of all that are eligible where these are fewer, the part among the first k found."""
    found = retrieval.shelf.index.retrieve(retrieval.query, retrieval.depth, retrieval.eligible).places[: retrieval.k]
    scores: Float32Array = retrieval.shelf.vectors @ retrieval.query
    best = scores[retrieval.eligible]
    k = min(retrieval.k, len(best))
    worst_of_best = np.partition(best, len(best) - k)[len(best) - k]
    right = np.unique(found[retrieval.eligible[found] & (scores[found] >= worst_of_best)])
    return len(right) / k
