"""Attribution: which reply an event follows, for as long as people are likely to come back to one.

A reply is remembered by its recommendation id alone: which placement, model and part of an experiment it came from, and
not for whom it was. Events that name the id are counted there. Each server remembers its own replies, in memory: what
another one answered, or answered too long ago, is counted nowhere.
"""

from collections import OrderedDict
from typing import NamedTuple

KEPT_SECONDS = 3600.0
MOST_REPLIES = 200_000  # about 60 MB


class Origin(NamedTuple):
    """Where a reply came from.

    arm: "experiment/arm" of each experiment that it was part of, joined by commas; "" for none.
    """

    placement: str
    model_id: str
    arm: str = ""


class _Remembered(NamedTuple):
    origin: Origin
    until: float


class Attribution:
    """The replies of the last hour.

    kept_seconds: how long a reply is remembered.
    most: replies; where there are more, the oldest are forgotten.
    """

    def __init__(self, kept_seconds: float = KEPT_SECONDS, most: int = MOST_REPLIES) -> None:
        self._kept_seconds, self._most = kept_seconds, most
        self._replies: OrderedDict[str, _Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._replies)

    def remember(self, recommendation_id: str, origin: Origin, now: float) -> None:
        """Keep where a reply came from; now: seconds, of a clock that does not go back."""
        self._replies[recommendation_id] = _Remembered(origin, now + self._kept_seconds)
        while len(self._replies) > self._most or next(iter(self._replies.values())).until <= now:
            self._replies.popitem(last=False)

    def origin(self, recommendation_id: str, now: float) -> Origin | None:
        """Where that reply came from; None where it is not known, or no more."""
        found = self._replies.get(recommendation_id)
        return None if found is None or found.until <= now else found.origin
