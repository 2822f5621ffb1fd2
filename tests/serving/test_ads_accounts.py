"""Accounts: no two campaigns share one, and each is an id that the counters take."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from feature_store.ad_counters import require_spend
from feature_store.events import LONGEST_ID
from feature_store.item_schemas import Ad
from serving.ads.accounts import account_of

campaigns = st.tuples(
    st.sampled_from(["ads", "ads-b", "a" * 64]),
    st.sampled_from(["EUR", "USD"]),
    st.one_of(st.sampled_from(["summer", "EUR/summer", "s" * LONGEST_ID]), st.text("s/", min_size=240, max_size=256)),
)


@given(campaigns, campaigns)
def test_an_account_is_an_id_and_that_of_one_campaign(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    accounts = []
    for vertical, currency, campaign in (one, other):
        of_ad = {"item_id": "1", "advertiser": "tea", "bid": Decimal(1), "vertical": vertical}
        accounts.append(account_of(Ad.model_validate(of_ad | {"currency": currency, "campaign": campaign})))
        require_spend(accounts[-1], "impression", 1)
    assert (accounts[0] == accounts[1]) == (one == other)
