"""The peers of a split at points of time: what was met lately by everybody, and by oneself.

Where taste moves with the clock, as in news, recent counts alone are hard to beat; where people come back to what they
had, their own history is (Hu et al. 2020, "Modeling Personalized Item Frequency Information for Next-basket
Recommendation").
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from benchmarks.peers import Peer, PeerResult, Settings
from training.evaluation import Scorer, evaluate
from training.recency import OWN_DAYS, POPULAR_DAYS, RecencyTerms, choose_recency, log_of, with_recency
from training.split import Split
from training.split_log import DAY, recent_counts


def temporal_peers(split: Split) -> list[Peer]:
    """Recent popularity, and where met items are ranked, own history; chosen from the half-lives that ours has too.

    Raises:
        BadInput: the split has no log.
    """
    log_of(split)
    recent = Peer("recent popularity", [{"days": days} for days in POPULAR_DAYS], recent_popularity)
    own = Peer("own history", [{"days": days} for days in OWN_DAYS], own_history)
    return [recent, own] if split.ranks_met else [recent]


def recent_popularity(split: Split, settings: Settings, seed: int) -> Scorer:
    """Everybody is recommended what was met most of late."""
    del seed
    items = len(split.vocabulary)
    counts = recent_counts(log_of(split), items, settings["days"] * DAY)
    return lambda clients: np.broadcast_to(counts, (len(clients), items))


def own_history(split: Split, settings: Settings, seed: int) -> Scorer:
    """What the person met most, of late; then what everybody did, which weighs less than any meeting of one's own.

    The own counts n are taken as n/(1 + n), and popularity, in 0..1, at a thousandth.
    """
    del seed
    items = len(split.vocabulary)
    terms = RecencyTerms(popular=1e-3, popular_days=settings["days"], own=1.0, own_days=settings["days"])
    nothing = np.zeros(items, dtype=np.float32)
    return with_recency(lambda clients: np.broadcast_to(nothing, (len(clients), items)), log_of(split), items, terms)


def judge_with_recency(peer: Peer, result: PeerResult, split: Split, seeds: Sequence[int]) -> PeerResult:
    """The peer with the terms of `training.recency` added, chosen on valid, as ours has them.

    The settings of the peer itself stay those that were best without.
    """
    final, items = split.judged, len(split.vocabulary)
    log = log_of(final)
    terms = choose_recency(peer.fit(split, result.settings, seeds[0]), split)
    scorers = [with_recency(peer.fit(final, result.settings, seed), log, items, terms) for seed in seeds]
    qualities = tuple(evaluate(score, items, final.test, final.met_before_test) for score in scorers)
    return PeerResult(f"{peer.name} + recency", {**result.settings, **asdict(terms)}, qualities)
