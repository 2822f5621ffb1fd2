"""What placements need of a server: a social graph, a catalogue, counters of ads.

Without it they would show too little, or what they must not, and nothing would say so but each reply.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from serving.placements.conditions import ITEM_ID
from serving.placements.settings import Placement

_OF_A_CATALOGUE = {
    "fresh": "source fresh, of what appeared lately or is not in the model",
    "new_authors": "source new_authors, of posts by their author",
}


class Server(NamedTuple):
    """What a server has.

    graph: of who follows, blocks and mutes whom.
    catalogue: of items, by vertical.
    counters: of what ads spend and who saw them, that last as long as what is kept of people.
    """

    graph: bool
    catalogue: bool
    counters: bool


def require_needs(placements: Mapping[str, Placement], server: Server) -> None:
    """Raise `ValueError`, naming the placement and what is missing, where one needs what the server has not."""
    for name, placement in placements.items():
        if placement.uses_graph and not server.graph:
            raise ValueError(f"placement {name!r} asks the social graph, and there is none: name social_graph")
        if placement.ads is not None and not server.counters:
            raise ValueError(
                f"placement {name!r} shows ads, and what they spend would be forgotten with the process, which people "
                "are not: name ad_counters"
            )
        said = next(_of_a_catalogue(placement), None)
        if said is not None and not server.catalogue:
            raise ValueError(f"placement {name!r} has {said}, and there is no catalogue: name items or items_redis")
        if said is not None and placement.vertical is None:
            raise ValueError(f"placement {name!r} has {said}, and shows no vertical, whose catalogue would say it")


def _of_a_catalogue(placement: Placement) -> Iterator[str]:
    """The settings of a placement that are about what a catalogue says of items."""
    if placement.ads is not None:
        yield "ads"
    if placement.half_life_hours is not None:
        yield "half_life_hours, from when an item appeared"
    if placement.respects_graph:
        yield "respects_graph, by the author of each post"
    for source in placement.sources:
        if source.kind in _OF_A_CATALOGUE:
            yield _OF_A_CATALOGUE[source.kind]
    for cap in placement.caps:
        yield f"a cap on {cap.field!r}"
    conditions = {
        "where": placement.where,
        "repeats.show": placement.repeats.show,
        "repeats.hide": placement.repeats.hide,
        **{f"rule {number}": rule.when for number, rule in enumerate(placement.rules, 1)},
    }
    for setting, condition in conditions.items():
        for field in condition:
            if field != ITEM_ID:
                yield f"field {field!r} in {setting}"
