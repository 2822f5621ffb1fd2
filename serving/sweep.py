"""The sweep after a swap: people are folded in for the model that answers, before they ask.

It runs beside requests and takes breaks for them. Whoever asks before their turn is folded in for the reply.
"""

import asyncio
import logging
from typing import NoReturn

from feature_store.errors import StoreError
from feature_store.refold import Refolded, refold
from feature_store.stores import LocalStores
from serving.live import LiveModel
from serving.model import ServingModel

_LOG = logging.getLogger("serving.sweep")
_BATCH = 32  # people: whoever asks meanwhile waits for a few milliseconds; 128 take about half the work, and 10 ms
_SHARE = 0.1  # of the time: nobody waits for the sweep, and requests wait behind it
_LONGEST_WAIT = 60.0  # seconds between sweeps of which some people failed


async def keep_folded_in(live: LiveModel, stores: LocalStores, look_seconds: float) -> NoReturn:
    """Sweep once for each model that comes to answer, until cancelled; where people failed, sweep again later."""
    swept: ServingModel | None = None
    wait = look_seconds
    while True:
        model = live.model
        if model is not None and model is not swept:
            if await _sweep(model, live, stores):
                swept, wait = model, look_seconds
            else:
                wait = min(2 * wait, _LONGEST_WAIT)
        await asyncio.sleep(wait)


async def _sweep(model: ServingModel, live: LiveModel, stores: LocalStores) -> bool:
    """Whether nobody is left; a sweep for a model that no longer answers is broken off."""
    try:
        came_to = await refold(
            stores, model.checkpoint, batch=_BATCH, share=_SHARE, goes_on=lambda: live.model is model
        )
    except StoreError as error:
        _LOG.warning("sweep failed", extra={"fields": {"model_id": model.model_id, "reason": type(error).__name__}})
        return False
    fields = {"model_id": model.model_id, **_counts(came_to)}
    _LOG.info("people folded in" if came_to.failed == 0 else "some people not folded in", extra={"fields": fields})
    return came_to.failed == 0


def _counts(came_to: Refolded) -> dict[str, int]:
    return {"people": came_to.people, "folded": came_to.folded, "failed": came_to.failed}
