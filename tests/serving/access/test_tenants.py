"""Tenants: two pairs of tenant and id are never one person, and nobody sees another's placements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from serving.access.tenants import person_of, placement_of, reply_of
from serving.errors import UnknownPlacement
from serving.placements.settings import Placement

TENANTS = st.none() | st.sampled_from(["a", "b", "shop", "shop-2", "a-b"])
IDS = st.text(st.sampled_from("ab\x1f-shop2"), min_size=1, max_size=12)


@given(TENANTS, IDS, TENANTS, IDS)
def test_two_people_are_one_only_where_tenant_and_id_are(
    tenant: str | None, user_id: str, other: str | None, other_id: str
) -> None:
    assert (person_of(tenant, user_id) == person_of(other, other_id)) == ((tenant, user_id) == (other, other_id))


@given(st.sampled_from(["a", "shop"]), TENANTS, IDS)
def test_no_id_can_be_written_so_that_it_means_another_tenants_person(
    tenant: str, other: str | None, user_id: str
) -> None:
    person = person_of(tenant, user_id)
    assert person_of(other, person) != person


@given(st.text(st.characters(exclude_characters="\x1f"), min_size=1, max_size=256))
def test_without_tenants_an_id_stays_what_it_is(user_id: str) -> None:
    assert person_of(None, user_id) == user_id


@given(TENANTS, st.text("0f", min_size=1, max_size=3), TENANTS, st.text("0f", min_size=1, max_size=3))
def test_two_replies_are_one_only_where_tenant_and_id_are(
    tenant: str | None, reply: str, other: str | None, other_reply: str
) -> None:
    assert (reply_of(tenant, reply) == reply_of(other, other_reply)) == ((tenant, reply) == (other, other_reply))


def test_an_id_that_does_not_fit_beside_its_tenant_is_refused_with_what_would() -> None:
    assert len(person_of("shop", "x" * 250)) == 256
    with pytest.raises(BadInput, match="at most 250 characters here; got 251"):
        person_of("shop", "x" * 251)


def test_a_placement_is_there_for_its_tenant_alone_and_others_do_not_hear_of_it() -> None:
    placements = {"home": Placement(), "shelf": Placement(tenant="shop"), "wall": Placement(tenant="forum")}
    assert placement_of(placements, "shelf", "shop").tenant == "shop"
    assert placement_of(placements, "home", None).tenant is None
    for name, tenant in (("shelf", None), ("shelf", "forum"), ("home", "shop"), ("attic", "shop")):
        with pytest.raises(UnknownPlacement) as refused:
            placement_of(placements, name, tenant)
        assert "wall" not in str(refused.value) or tenant == "forum"
