"""A market: what happened in several domains, and who in it is made cold in one of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Int32Array
from feature_store.errors import BadInput
from feature_store.row_ranges import Catalogues, rows_of
from feature_store.tabular import open_table
from feature_store.vocabulary import ItemVocabulary
from training.interactions import Interactions
from training.split import Split
from training.split_global import Cuts, cuts_by_share, split_by_date

COLD_SHARE = 0.2
LEAST_BUYERS = 10
"""An item is kept if so many people met it in the train part: of one that nobody met nobody can say anything."""

COMPLETE_JOURNEY = {
    "grocery": ("GROCERY",),
    "drug-gm": ("DRUG GM", "COSMETICS", "NUTRITION"),
    "fresh": ("PRODUCE", "MEAT", "MEAT-PCKGD", "DELI", "PASTRY", "SEAFOOD", "SEAFOOD-PCKGD", "SALAD BAR"),
}
"""Departments of complete_journey as three domains: packaged food, drugstore and general merchandise, fresh food."""


class Market(NamedTuple):
    """What happened in several domains.

    interactions: of the items of all domains, whose rows are in the order of the catalogues.
    catalogues: domain -> rows.
    cuts: where validation and test begin.
    """

    interactions: Interactions
    catalogues: Catalogues
    cuts: Cuts


class Parts(NamedTuple):
    """One seed and one domain.

    cold: whether each person is cold in the domain, shape (people,).
    rows: of the domain.
    tuning, final: splits of all domains with the same train part. What cold people did in the domain is hidden before
        validation begins in the one, and before the test begins in the other.
    """

    cold: BoolArray
    rows: Int32Array
    tuning: Split
    final: Split


def read_domains(catalogue: Path, departments: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Domain -> ids of the items whose column `department` is one of the domain's; other items are in no domain."""
    domain_of = {department: domain for domain, names in departments.items() for department in names}
    domains: dict[str, list[str]] = {domain: [] for domain in departments}
    with open_table(catalogue, required=["item_id", "department"]) as table:
        item_at, department_at = table.position("item_id"), table.position("department")
        for _, fields in table.rows:
            if fields[department_at] in domain_of:
                domains[domain_of[fields[department_at]]].append(fields[item_at])
    return domains


def market_of(interactions: Interactions, domains: Mapping[str, Iterable[str]]) -> Market:
    """The interactions with items that belong to a domain and that enough people met before validation.

    domains: name -> ids of its items; an item belongs to one of them at most.
    """
    cuts = cuts_by_share(interactions)
    early = interactions.timestamps < cuts.valid_from
    pairs = np.unique(np.stack([interactions.users[early], interactions.items[early]]), axis=1)
    buyers = np.bincount(pairs[1], minlength=len(interactions.vocabulary))
    row_of = np.full(len(buyers), -1, dtype=np.int32)
    kept: list[str] = []
    catalogues = {}
    for domain, item_ids in domains.items():
        rows = interactions.vocabulary.known_rows(item_ids)
        rows = rows[buyers[rows] >= LEAST_BUYERS]
        if not len(rows):
            raise BadInput(f"no item of domain {domain!r} was met by {LEAST_BUYERS} people before validation begins")
        row_of[rows] = np.arange(len(kept), len(kept) + len(rows), dtype=np.int32)
        catalogues[domain] = ((len(kept), len(kept) + len(rows)),)
        kept += [interactions.vocabulary.item_ids[row] for row in rows]
    chosen = _chosen(interactions, row_of[interactions.items] >= 0)
    return Market(replace(chosen, vocabulary=ItemVocabulary(kept), items=row_of[chosen.items]), catalogues, cuts)


def hide(market: Market, domain: str, seed: int, share: float = COLD_SHARE) -> Parts:
    """Make a share of the people, drawn by the seed, cold in the domain."""
    interactions, rows = market.interactions, rows_of(market.catalogues[domain])
    people = len(interactions.user_ids)
    cold = np.zeros(people, dtype=np.bool_)
    cold[np.random.default_rng([seed]).choice(people, int(share * people), replace=False)] = True
    secret = cold[interactions.users] & np.isin(interactions.items, rows)
    tuning, final = (
        split_by_date(_chosen(interactions, ~(secret & (interactions.timestamps < until))), market.cuts)
        for until in market.cuts
    )
    return Parts(cold, rows, tuning, final)


def _chosen(interactions: Interactions, which: BoolArray) -> Interactions:
    names = ("users", "items", "events", "timestamps", "values")
    return replace(interactions, **{name: getattr(interactions, name)[which] for name in names})
