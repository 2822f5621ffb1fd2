"""What a person did just now, as a request tells it: the items that count for this reply, and those hidden."""

from collections.abc import Iterable

from feature_store.event_weights import EventWeights

_WEIGHTS = EventWeights()
_UNSAID = "view"


def session_items(events: Iterable[tuple[str, str | None]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The items met and the items hidden, each in the order of their first event; as in a stored history.

    >>> session_items([("heat", "hide"), ("casino", None), ("alien", "impression"), ("casino", "hide"), ("heat", None)])
    (('heat',), ('casino',))

    events: item id and what was done, in the order of time.
    """
    met: dict[str, None] = {}
    hidden: dict[str, None] = {}
    for item_id, kind in events:
        if kind in _WEIGHTS.hiding:
            met.pop(item_id, None)
            hidden[item_id] = None
        elif _WEIGHTS.of(None, kind or _UNSAID) > 0:
            hidden.pop(item_id, None)
            met[item_id] = None
    return tuple(met), tuple(hidden)
