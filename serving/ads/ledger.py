"""The ledger: which ads were in which reply and at what price, so that what is said of them later can be believed.

An event names the recommendation that it follows. What it costs is looked up here, by that name and the ad's: a device
says that an ad was seen or clicked, never for how much. Offers are kept for two days, which is less than the counters
remember an impression for (`feature_store.ad_counters.KEPT_DAYS`): so no click is paid for twice.

An ad that the catalogue has no more, or whose catalogue cannot be read, is known here all the same.

There is nothing of people in it. Counts of shows and clicks are of ads, each impression once; where a server dies
between two steps, one may be missing. Money does not hang on them.

`tests/serving/test_ads_ledger.py` holds every implementation to the protocol.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict

from feature_store.ad_counters import Budget

KEPT_SECONDS = 2 * 86400

Seen: TypeAlias = Literal["new", "known", "late", "unknown"]


class Offer(BaseModel):
    """One ad of one reply.

    campaign: its account (`serving.ads.accounts`).
    price: micros for a click.
    total, daily: budgets of the campaign, as the ad said them; None is no bound.
    is_refused: whether a click on it met a budget without room: it stays free, though there be room again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ad: str
    campaign: str
    price: int
    total: int | None = None
    daily: int | None = None
    is_refused: bool = False

    @property
    def budget(self) -> Budget:
        """Of the campaign."""
        return Budget(self.total, self.daily)

    def refused(self) -> "Offer":
        """The same, refused."""
        return self.model_copy(update={"is_refused": True})


class Counts(NamedTuple):
    """How often an ad was seen, and clicked."""

    shows: int
    clicks: int


class Ledger(Protocol):
    """The offers of a place. Raises `StoreError` in each method, as its subclasses say."""

    async def offer(self, recommendation_id: str, offers: Sequence[Offer]) -> None:
        """Keep what a reply is about to say."""
        ...

    async def see(self, recommendation_id: str, ad: str) -> Seen:
        """The ad was seen: "new" for the first time, "late" for the first time since it was withdrawn.

        "unknown" where it was in no such reply, or that is too long ago.
        """
        ...

    async def click(self, recommendation_id: str, ad: str) -> Offer | None:
        """The ad was clicked, and so was seen: the offer, again with each click; None where it is not known."""
        ...

    async def refuse(self, recommendation_id: str, offer: Offer) -> None:
        """Have later clicks on it find it refused; where it is not known any more, nothing."""
        ...

    async def offered(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        """Of each ad of a reply whether it was in it; nothing is counted by asking.

        shows: recommendation id and ad.
        """
        ...

    async def withdraw(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        """Of each ad of a reply whether nobody has said by now that it was seen; it is withdrawn then.

        shows: recommendation id and ad.
        """
        ...

    async def counts(self, ads: Sequence[str]) -> list[Counts]:
        """Of each of these ads how often it was seen and clicked."""
        ...
