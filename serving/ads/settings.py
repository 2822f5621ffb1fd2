"""What a placement says of ads: what it may show, how a click is foreseen, and where ads stand among other items.

[banner]
vertical = "ads"
ads = {currency = "EUR", safety = "general", calibration = "calibration.json"}

[front-page]
vertical = "news"
sponsored = {placement = "banner", first = 3, gap = 4, most = 2}
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from feature_store.currencies import micros
from feature_store.item_fields import Amount, Currency

_Prior = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class AdsSettings(BaseModel):
    """The ads of one placement.

    currency: what bids and prices are in; ads in another one are not shown, as bids could not be compared.
    safety: the least harmless class that may be shown: "general" alone, "sensitive" too, or "restricted" too. What is
        unrated, or of a class that nobody knows, is not shown. "any" asks for no safety: everything may be shown.
    calibration: file of `hearth ads calibrate`; absent: each ad's own click rate, smoothed.
    prior_clicks, prior_shows: what is taken for granted of each ad before anybody was shown it.
    reserve: the least that a click costs; who bids less is not shown.
    pace: how far a campaign may be ahead of its day, as a share of its daily budget; "off": as fast as it goes.
    hold_seconds: how long a show counts for the frequency cap before the device has said that it was seen.
    uncounted: whether ads with a frequency cap are shown to those without a user id, whose shows nobody can count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: Currency
    safety: Literal["general", "sensitive", "restricted", "any"] = "general"
    calibration: Path | None = None
    prior_clicks: _Prior = 1.0
    prior_shows: _Prior = 100.0
    reserve: Amount = Decimal(0)
    pace: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | Literal["off"] = 0.02
    hold_seconds: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 300.0
    uncounted: Literal["hide", "show"] = "hide"

    @model_validator(mode="after")
    def _fewer_clicks_than_shows(self) -> "AdsSettings":
        if not self.prior_clicks < self.prior_shows:
            raise ValueError(f"prior_clicks ({self.prior_clicks:g}) are fewer than prior_shows ({self.prior_shows:g})")
        return self

    @property
    def reserve_micros(self) -> int:
        """The reserve in micros of the currency, 1 at least: nothing is for nothing."""
        return max(1, micros(self.reserve))


class Sponsored(BaseModel):
    """Ads among the items of a placement that is not about ads.

    placement: of the ads.
    first: position of the first ad, from 1.
    gap: so many other items stand between two ads, at least.
    most: ads in one list.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    placement: Annotated[str, Field(min_length=1, max_length=64)]
    first: Annotated[int, Field(ge=1, le=1000)] = 3
    gap: Annotated[int, Field(ge=1, le=1000)] = 4
    most: Annotated[int, Field(ge=1, le=100)] = 3


class SaysAds(Protocol):
    """What `require_sponsors` looks at of a placement."""

    @property
    def ads(self) -> AdsSettings | None:
        """What it says of ads, where it is about them."""
        ...

    @property
    def sponsored(self) -> Sponsored | None:
        """Which ads stand among its items."""
        ...

    @property
    def tenant(self) -> str | None:
        """Whose it is."""
        ...


def require_sponsors(placements: Mapping[str, SaysAds]) -> None:
    """Raise `ValueError` where ads are to come from a placement that is not there, has none, or is another tenant's."""
    for name, placement in placements.items():
        if placement.sponsored is None:
            continue
        sponsor = placements.get(placement.sponsored.placement)
        if sponsor is None or sponsor.ads is None or sponsor.tenant != placement.tenant:
            raise ValueError(
                f"placement {name!r} takes ads from {placement.sponsored.placement!r}, which is no placement with ads "
                "of the same tenant"
            )
