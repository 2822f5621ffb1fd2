"""Sharing: what workers have in memory each for itself, and what of it they tell or show each other.

    told      counts    shows and clicks of items, as they are stored: every worker counts all of them
              joined    events that name a reply of another worker: the one that made it counts them
              taken     requests of a key that were let through: its rate and quota are of all workers together
    asked     samples   what a worker has counted and measured, for `/metrics`
              receipt   of an erasure, by its id

Nothing of it says who did something: items, replies, names of keys, numbers.
"""

import json
import time
from typing import cast

from prometheus_client import generate_latest

from serving.access.allowance import Allowances, Taken
from serving.assortment.following import measure
from serving.attribution import Counted
from serving.routes.attributing import count_once
from serving.routes.parts import Parts
from serving.workers.samples import merged
from serving.workers.siblings import Entry, Siblings


def share(parts: Parts, allowances: Allowances) -> None:
    """Have this worker hear what others tell, and answer what they ask."""
    parts.siblings.hear("counts", lambda entry: _hear_counts(parts, entry))
    parts.siblings.hear("joined", lambda entry: _hear_joined(parts, entry))
    parts.siblings.hear("taken", lambda entry: allowances.hear(Taken(*cast("tuple[str, int, None, None]", entry))))
    parts.siblings.answer("samples", lambda _: samples(parts))
    parts.siblings.answer("receipt", lambda erasure_id: _receipt(parts, erasure_id))


def tell_counts(siblings: Siblings, tenant: str | None, item_id: str, shows: float, clicks: float) -> None:
    """Tell the others what was counted of an item."""
    siblings.tell("counts", [tenant, item_id, shows, clicks])


def tell_taken(siblings: Siblings, taken: Taken) -> None:
    """Tell the others which requests were let through."""
    siblings.tell("taken", list(taken))


async def all_samples(parts: Parts) -> bytes:
    """What this server has counted and measured, by all its workers."""
    siblings = parts.siblings
    if siblings.count == 1:
        return samples(parts)
    told = {**await siblings.ask("samples"), siblings.number: samples(parts)}
    return merged({worker: text.decode() for worker, text in told.items()}, siblings.count).encode()


def samples(parts: Parts) -> bytes:
    """What this process has counted and measured."""
    measure((*parts.live.stock.followers(), *parts.trials.shadow.stock.followers()), parts.metrics)
    return generate_latest(parts.metrics.registry)


def _hear_counts(parts: Parts, entry: Entry) -> None:
    tenant, item_id, shows, clicks = cast("tuple[str | None, str, float, float]", entry)
    parts.feedback.of(tenant).hear(item_id, shows, clicks, time.time())


def _hear_joined(parts: Parts, entry: Entry) -> None:
    recommendation_id, item_id, what = cast("tuple[str, str, Counted]", entry)
    count_once(parts, recommendation_id, item_id, what)


def _receipt(parts: Parts, erasure_id: str) -> bytes:
    found = parts.erasures.receipt(erasure_id)
    return b"" if found is None else json.dumps({"erasure_id": erasure_id, **found.as_json()}).encode()
