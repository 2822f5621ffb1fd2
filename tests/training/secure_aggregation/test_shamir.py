"""Secret sharing, beside Lagrange's polynomial on plain fractions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.secure_aggregation import independent
from training.secure_aggregation.errors import MalformedMessage, WrongShare
from training.secure_aggregation.shamir import PRIME, recover, share_value, split, weights_at_zero

secrets = st.binary(min_size=32, max_size=32)


@given(secrets, secrets, st.data())
def test_any_threshold_of_the_shares_gives_the_secret_and_one_less_does_not(
    secret: bytes, key: bytes, data: st.DataObject
) -> None:
    points = data.draw(st.lists(st.integers(1, 4096), min_size=2, max_size=8, unique=True))
    threshold = data.draw(st.integers(2, len(points)))
    shares = dict(zip(points, map(share_value, split(secret, threshold, points, key)), strict=True))
    assert shares == independent.shares(secret, threshold, points, key)
    chosen = data.draw(st.permutations(points))[:threshold]
    assert recover([shares[point] for point in chosen], weights_at_zero(chosen), "a") == secret
    assert independent.recovered({point: shares[point] for point in chosen}) == secret
    fewer = chosen[1:]
    with pytest.raises(WrongShare, match="of a do not belong together"):
        recover([shares[point] for point in fewer], weights_at_zero(fewer), "a")


@given(secrets, secrets)
def test_all_shares_have_the_same_size_and_differ_with_the_key(secret: bytes, key: bytes) -> None:
    one, other = split(secret, 3, range(1, 6), key), split(secret, 3, range(1, 6), bytes(reversed(key)))
    assert {len(share) for share in (*one, *other)} == {66}
    if key != bytes(reversed(key)):
        assert set(one).isdisjoint(other)


def test_a_share_of_another_secret_does_not_belong() -> None:
    shares = [share_value(share) for share in split(bytes(range(32)), 3, (1, 2, 3), bytes(32))]
    other = share_value(split(bytes(range(32)), 3, (1, 2, 3), bytes([1] * 32))[1])
    with pytest.raises(WrongShare, match="3 shares of a secret of cell-1 do not belong together"):
        recover([shares[0], other, shares[2]], weights_at_zero((1, 2, 3)), "cell-1")


def test_what_is_no_element_of_the_field_is_no_share() -> None:
    assert share_value((PRIME - 1).to_bytes(66, "big")) == PRIME - 1
    for share in (PRIME.to_bytes(66, "big"), b"\xff" * 66, bytes(65), bytes(67)):
        with pytest.raises(MalformedMessage, match="a share has 66 bytes"):
            share_value(share)
