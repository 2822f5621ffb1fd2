"""Accounts: what the counters know the payer of an ad by, so that no budget is shared by mistake.

A campaign's name is unique within a catalogue, and amounts add up within a currency: two shops may each have a
`summer`, and one `summer` may pay in two currencies.
"""

import hashlib

from feature_store.events import LONGEST_ID
from feature_store.item_schemas import Ad


def account_of(ad: Ad) -> str:
    """The account of the ad's campaign: its vertical, its currency, its name; a long name by its SHA-256.

    >>> account_of(Ad(item_id="1", vertical="ads", advertiser="tea", campaign="summer", bid="0.40", currency="EUR"))
    'ads/EUR/summer'
    """
    place = f"{ad.vertical}/{ad.currency}/"  # neither has a slash in it
    if len(place) + len(ad.pays_from) <= LONGEST_ID:
        return place + ad.pays_from
    return f"{place}sha256/{hashlib.sha256(ad.pays_from.encode()).hexdigest()}"
