"""The market: all that ads are chosen by at one moment. Made between requests, and looked at by each."""

from dataclasses import dataclass

from feature_store.arrays import Float64Array, Int64Array
from serving.ads.calibration import Calibration
from serving.ads.columns import AdColumns


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """The ads of one catalogue, and what is known of each; arrays have shape (ads,).

    is_open: whether ads may be shown at all: the catalogue, the counters and the calibration were read a moment ago.
    shows, clicks: of each ad so far.
    total, today: what the campaign of each has spent, in micros; -1 where that was not read yet.
    calibration: that of the placement; None where it has none.
    """

    ads: AdColumns
    is_open: bool
    shows: Float64Array
    clicks: Float64Array
    total: Int64Array
    today: Int64Array
    calibration: Calibration | None
