"""Terms: what the reply says of one ad."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """Ready for a second-price auction further out: what was bid, what is foreseen, what a click costs here.

    bid, price: micros of the currency for one click; the price is never above the bid.
    click_rate: the calibrated probability of a click at the first position, pCTR.
    ecpm: what a thousand shows bring by the bid, in units of the currency.
    campaign: whose budgets it spends.
    """

    currency: str
    bid: int
    click_rate: float
    ecpm: float
    price: int
    campaign: str
