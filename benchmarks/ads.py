"""Ads on a real log: whether click rates are calibrated, and what our ranking would have earned beside the logged ones.

The Open Bandit Dataset (Saito et al. 2021) logs three ads a page of two policies, one at random and one by Thompson
sampling, with the chance that each ad had at its position. Click rates and calibration are fitted on the first part by
time; the rest judges. All bids are equal, as the log has none: then the auction ranks by the click rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import provenance
from benchmarks.off_policy import Estimate, off_policy, on_policy
from feature_store.arrays import BoolArray, Float64Array, Int32Array
from feature_store.errors import BadInput
from feature_store.tabular import open_table

SHARE = 0.7  # of the log, by time, that is fitted on
PRIOR_CLICKS, PRIOR_SHOWS = 1.0, 250.0  # the log's click rate, in round numbers: nobody's to choose by the rest
PLACES = 3  # ads a page
PARTICIPATION = (1.0, 0.5, 0.2)  # chances with which an ad takes part, as pacing throttles


@dataclass(frozen=True, slots=True, eq=False)
class BanditLog:
    """Impressions in the order of time, and of each what the logging policy was; arrays have shape (n,).

    ads, ad: distinct ids, and of each impression which was shown.
    times: in seconds since 1970, never falling.
    positions: from 1.
    policies, policy: names, and of each impression which.
    campaigns, campaign: the pages that the ads are of; ads of one compete with each other.
    chances: that the ad shown had at its position.
    """

    ads: tuple[str, ...]
    ad: Int32Array
    times: Float64Array
    positions: Int32Array
    clicked: BoolArray
    policies: tuple[str, ...]
    policy: Int32Array
    campaigns: tuple[str, ...]
    campaign: Int32Array
    chances: Float64Array

    def __len__(self) -> int:
        return len(self.ad)

    @property
    def cut(self) -> int:
        """How many of the impressions are fitted on."""
        return int(SHARE * len(self))


def read_bandit_log(path: Path) -> BanditLog:
    """That of an impressions.csv[.gz] with propensities; raises `BadInput`."""
    columns = ("item_id", "timestamp", "clicked", "position", "propensity", "policy", "campaign")
    with open_table(path, columns) as opened:
        at = [opened.position(column) for column in columns]
        found = [tuple(fields[column] for column in at) for _, fields in opened.rows]
    if not found:
        raise BadInput(f"{path} has no impressions")
    found.sort(key=lambda row: float(row[1]))
    items, times, clicked, positions, chances, policy, campaign = zip(*found, strict=True)
    ads, ad = _coded(items)
    policies, policy_codes = _coded(policy)
    campaigns, campaign_codes = _coded(campaign)
    return BanditLog(
        ads,
        ad,
        np.array(times, np.float64),
        np.array(positions, np.int32),
        np.array([one == "1" for one in clicked]),
        policies,
        policy_codes,
        campaigns,
        campaign_codes,
        np.array(chances, np.float64),
    )


def measure_ads(log: BanditLog, click_rates: Float64Array, calibration: Mapping[str, Any]) -> dict[str, Any]:
    """The estimates of our policy on either log, all campaigns together.

    Args:
        log: all of it; what lies behind its cut judges.
        click_rates: that our ranking goes by, of each ad, as they were at the cut.
        calibration: figures of how they are borne out, to stand beside.
    """
    late = np.arange(len(log)) >= log.cut
    ours = {chance: chances_of_ours(log, click_rates, chance) for chance in PARTICIPATION}
    policies: dict[str, Any] = {}
    for code, name in enumerate(log.policies):
        here = late & (log.policy == code)
        clicked = log.clicked[here]
        policies[name] = {
            "impressions": int(here.sum()),
            "clicks": int(clicked.sum()),
            "logged": on_policy(clicked)._asdict(),
            "ours": {
                f"{chance:g}": off_policy(clicked, log.chances[here], of_ours[here]).figures()
                for chance, of_ours in ours.items()
            },
        }
    return {
        "benchmark": "ads",
        **provenance(),
        "data": {
            "impressions": len(log),
            "clicks": int(log.clicked.sum()),
            "fitted": log.cut,
            "judged": len(log) - log.cut,
            "judged_clicks": int(log.clicked[log.cut :].sum()),
        },
        "calibration": dict(calibration),
        "policies": policies,
    }


def chances_of_ours(log: BanditLog, click_rates: Float64Array, participation: float) -> Float64Array:
    """With which chance our policy would have shown, at its position, what was shown; shape (n,).

    The ads of a page by falling click rate, of equal ones by their code; each takes part with the same chance c. The ad
    at place j of m stands at position p with c (j - 1 over p - 1) c^(p - 1) (1 - c)^(j - p).
    """
    result = np.zeros(len(log))
    for campaign in range(len(log.campaigns)):
        here = log.campaign == campaign
        ads = np.unique(log.ad[here])
        order = ads[np.argsort(-click_rates[ads], kind="stable")]
        place = np.full(len(log.ads), -1)
        place[order] = np.arange(len(order))
        chances = np.zeros((len(order), PLACES + 1))  # by place and position, from 1
        reached = np.zeros(PLACES + 2)  # chance that so many of the better ones take part
        reached[0] = 1.0
        for j in range(len(order)):
            chances[j, 1:] = participation * reached[:PLACES]
            reached[1:] = (1 - participation) * reached[1:] + participation * reached[:-1]
            reached[0] *= 1 - participation
        result[here] = chances[place[log.ad[here]], log.positions[here]]
    return result


def shown_estimate(estimate: dict[str, float] | Estimate) -> str:
    """A click rate in per cent with its interval."""
    of = estimate._asdict() if isinstance(estimate, Estimate) else estimate
    return f"{of['value']:.2%} ({of['low']:.2%} to {of['high']:.2%})"


def _coded(names: tuple[str, ...]) -> tuple[tuple[str, ...], Int32Array]:
    codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return tuple(codes), np.array([codes[name] for name in names], np.int32)
