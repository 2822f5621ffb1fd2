"""Where ads are shown, as the server's placements and models have it at this moment."""

from collections.abc import Callable, Mapping, Sequence

from serving.ads.known import Vertical
from serving.ads.settings import AdsSettings
from serving.assortment.assortment import Assortment
from serving.placements.settings import Placement


class LivePlaces:
    """Asked anew each time.

    placements: those that answer now.
    shown: what can be shown of each vertical now.
    """

    def __init__(
        self,
        placements: Callable[[], Mapping[str, Placement]],
        shown: Callable[[], Mapping[str | None, Assortment]],
    ) -> None:
        self._placements, self._shown = placements, shown

    def verticals(self) -> Sequence[Vertical]:
        """See `serving.ads.known.Places.verticals`. All items at once are no vertical, and show no ads."""
        found: dict[str, dict[AdsSettings, None]] = {}
        for placement in self._placements().values():
            if placement.ads is not None and placement.vertical is not None:
                found.setdefault(placement.vertical, {})[placement.ads] = None
        return [Vertical(name, tuple(settings)) for name, settings in found.items()]

    def assortment(self, vertical: str) -> Assortment | None:
        """See `serving.ads.known.Places.assortment`."""
        return self._shown().get(vertical)
