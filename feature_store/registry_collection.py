"""What a registry may remove: checkpoints that answer nobody, and that nobody can roll back to or needs.

A checkpoint is kept for the first of these reasons that holds:

    production, shadow    it is in that stage
    roll back             it is among the last `keep` that were in production before
    needed                a stored user embedding belongs to it
    young                 it was published within the grace period: somebody may be about to promote it
    candidate             it is among the `keep` newest of those that are none of the above
    parent                a kept one was trained on from it, and parents were asked for
    unreadable            nobody we trust has signed it, or it is damaged: not ours to judge, and a person should look
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, TypeAlias

from feature_store.errors import BadInput
from feature_store.manifest import CheckpointManifest
from feature_store.stages import Entry

DAY = 86_400.0
MOST_AT_ONCE = 1000  # checkpoints; an entry of the stages names them all

Reason: TypeAlias = Literal["production", "shadow", "roll back", "needed", "young", "candidate", "parent", "unreadable"]


@dataclass(frozen=True, slots=True)
class Collection:
    """What a collection has removed, or would remove.

    kept: of each checkpoint that stays, why.
    removed: the others, and what was left of others that were never whole.
    """

    kept: Mapping[str, Reason]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What to keep.

    keep: how many steps a roll-back can still take afterwards, and how many candidates stay; at least 1.
    needed: ids that stored user embeddings belong to.
    grace: seconds since publication in which nothing is removed.
    keep_parents: whether what a kept checkpoint was trained on from stays too.
    """

    keep: int
    needed: AbstractSet[str] = frozenset()
    grace: float = DAY
    keep_parents: bool = False

    def __post_init__(self) -> None:
        if self.keep < 1 or not self.grace >= 0:
            raise BadInput(
                f"a collection keeps at least 1 checkpoint before the present one, and has a grace period of 0 seconds "
                f"or more; got keep={self.keep}, grace={self.grace}"
            )


def reasons_to_keep(
    now: Entry, ages: Mapping[str, float], manifests: Mapping[str, CheckpointManifest], rules: Rules
) -> dict[str, Reason]:
    """Which checkpoints stay, and why.

    Args:
        now: the stages as they are; what a broken-off collection was removing is no candidate any more.
        ages: of each published checkpoint, seconds since its publication.
        manifests: of those that can be read.
        rules: what to keep.
    """
    kept: dict[str, Reason] = {}
    stages = now.stages
    back = stages.previous[-rules.keep :]
    tests: dict[Reason, AbstractSet[str]] = {
        "production": _named(stages.production),
        "shadow": _named(stages.shadow),
        "roll back": set(back),
        "needed": rules.needed,
        "young": {name for name, age in ages.items() if age < rules.grace},
        "unreadable": ages.keys() - manifests.keys(),
    }
    for reason, names in tests.items():
        for name in sorted(names & ages.keys()):
            kept.setdefault(name, reason)
    others = sorted(ages.keys() - kept.keys() - {*stages.previous, *now.removing}, key=lambda name: ages[name])
    kept.update(dict.fromkeys(others[: rules.keep], "candidate"))
    if rules.keep_parents:
        line = [parent for name in kept if name in manifests and (parent := manifests[name].parent_id)]
        while line:
            name = line.pop()
            if name in ages and name not in kept:
                kept[name] = "parent"
                parent = manifests[name].parent_id if name in manifests else None
                line += [parent] if parent else []
    return kept


def _named(checkpoint_id: str | None) -> set[str]:
    return set() if checkpoint_id is None else {checkpoint_id}
