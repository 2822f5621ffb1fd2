"""Around ads: the other items of a list, where some of its positions are taken by ads.

A placement's rules name positions of the list as people see it. The items beside the ads are listed by themselves, so
that each position becomes one among those that the ads leave.
"""

from collections.abc import Sequence

from serving.placements.settings import Placement, Rule


def depends_on_length(placement: Placement, now: float) -> bool:
    """Whether a shorter list of its items is another one than the beginning of a longer one.

    now: seconds since 1970.
    """
    promotes = any(rule.then == "promote" and rule.is_in_force(now) for rule in placement.rules)
    return promotes or any(source.share > 0 for source in placement.sources)


def around(placement: Placement, taken: Sequence[int], k: int) -> Placement:
    """The placement for the k - len(taken) items beside the ads, one at least.

    An item that is promoted to where an ad stands comes right behind it, or before it at the end of the list.

    taken: the positions of the ads, from 1 to k.
    k: of the whole list.
    """

    def moved(rule: Rule) -> Rule:
        if rule.position is None or rule.position > k:
            return rule
        before = sum(position < rule.position for position in taken)
        return rule.model_copy(update={"position": min(rule.position - before, k - len(taken))})

    return placement.model_copy(update={"rules": tuple(moved(rule) for rule in placement.rules)})
