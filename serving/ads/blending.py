"""Blending: ads among other items, never sooner and never closer together than the placement says."""

from collections.abc import Sequence
from typing import TypeVar

from serving.ads.settings import Sponsored

Item = TypeVar("Item")


def room_for(sponsored: Sponsored, k: int, others: int) -> int:
    """How many ads a list of k positions has room for, where there are so many other items.

    An ad stands at positions first, first + gap + 1, first + 2 (gap + 1) and so on, and behind as many others as that
    takes: where these run out, so do the ads.

    >>> room_for(Sponsored(placement="ads", first=3, gap=4, most=3), k=10, others=100)
    2
    """
    found = 0
    while found < sponsored.most:
        position = sponsored.first + found * (sponsored.gap + 1)
        if position > k or position - 1 - found > others:
            break
        found += 1
    return found


def positions(sponsored: Sponsored, ads: int) -> list[int]:
    """Where so many ads stand, from 1.

    >>> positions(Sponsored(placement="ads", first=3, gap=4), 2)
    [3, 8]
    """
    return [sponsored.first + number * (sponsored.gap + 1) for number in range(ads)]


def blended(items: Sequence[Item], ads: Sequence[Item], sponsored: Sponsored, k: int) -> list[Item]:
    """The items in their order with the ads among them, k at most; what finds no room is left out.

    >>> blended(["a", "b", "c", "d"], ["AD", "AD"], Sponsored(placement="ads", first=2, gap=2), k=5)
    ['a', 'AD', 'b', 'c', 'AD']
    """
    left, waiting = list(items), list(ads[: room_for(sponsored, k, len(items))])
    result: list[Item] = []
    due = sponsored.first
    while len(result) < k and (left or (waiting and len(result) + 1 == due)):
        if waiting and len(result) + 1 == due:
            result.append(waiting.pop(0))
            due += sponsored.gap + 1
        else:
            result.append(left.pop(0))
    return result
