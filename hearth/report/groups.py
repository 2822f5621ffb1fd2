"""Quality by group: who is served badly."""

from hearth.report.markup import Markup, element, joined
from hearth.report.record import Parent, RunRecord
from hearth.report.tables import bar, change, table
from training.quality_groups import ItemGroup, PeopleGroup, QualityGroups


def groups(record: RunRecord, parent: Parent | None) -> Markup:
    """The section on groups of people and of items."""
    title = element("h2", "Who is served badly")
    found = record.groups
    if found is None:
        return joined(title, element("p", "There are no validation items to judge by."))
    before = _comparable(record, parent)
    caution = element("p", _CAUTION, class_="muted")
    return joined(title, element("p", _told(found)), _people(found, before), _items(found, before), caution)


def span(least: int, most: int) -> str:
    """A range of whole numbers.

    >>> span(3, 9), span(4, 4)
    ('3–9', '4')
    """
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"


_CAUTION = (
    "People with long histories have more items held out, and the more there are to find, the easier it is to find "
    "some and the harder to find all: rows of the first table differ in how hard they are. Items that many know are "
    "the safer guess, so that the upper rows of the second table are the harder ones. Each row is best compared with "
    "the same row of another run."
)


def _comparable(record: RunRecord, parent: Parent | None) -> QualityGroups | None:
    """The parent's groups, where they are groups of the same people and items."""
    if parent is None or parent.record is None or parent.record.facts.get("data") != record.facts.get("data"):
        return None
    return parent.record.groups


def _told(found: QualityGroups) -> str:
    worst, best = (choose(found.people, key=lambda group: group.ndcg) for choose in (min, max))
    told = (
        f"Least well served are people with {span(worst.least, worst.most)} train items: NDCG@20 {worst.ndcg:.3f}, "
        f"beside {best.ndcg:.3f} for those with {span(best.least, best.most)}. "
        if worst != best
        else ""
    )
    met = [group for group in found.items if group.held_out and group.least]
    if not met:
        return told
    hardest = min(met, key=lambda group: group.recall)
    return told + (
        f"Hardest to find are items that {span(hardest.least, hardest.most)} people have met: "
        f"{hardest.recall:.1%} of the {hardest.held_out:,} held out were found among the top 20."
    )


def _people(found: QualityGroups, before: QualityGroups | None) -> Markup:
    largest = max(group.ndcg for group in found.people)
    earlier = {(group.least, group.most): group for group in before.people} if before else {}

    def row(group: PeopleGroup) -> list[str]:
        figures = [f"{group.people:,}", bar(group.ndcg, largest), f"{group.recall:.4f}", f"{group.hr_10:.4f}"]
        was = earlier.get((group.least, group.most))
        return [
            span(group.least, group.most),
            *figures,
            *([change(group.ndcg, was.ndcg) if was else ""] * bool(before)),
        ]

    columns = [
        "train items of a person",
        "people",
        "NDCG@20",
        "recall@20",
        "HR@10",
        *["NDCG, change on parent"] * bool(before),
    ]
    return table("By activity of people, on the validation items", columns, map(row, found.people))


def _items(found: QualityGroups, before: QualityGroups | None) -> Markup:
    largest = max(group.recall for group in found.items)
    earlier = {(group.least, group.most): group for group in before.items} if before else {}

    def row(group: ItemGroup) -> list[str]:
        recall = bar(group.recall, largest) if group.held_out else "-"
        shares = [f"{group.recommended:.1%}", f"{group.coverage:.1%}"]
        was = earlier.get((group.least, group.most))
        return [
            span(group.least, group.most),
            f"{group.items:,}",
            f"{group.held_out:,}",
            recall,
            *shares,
            *([change(group.recall, was.recall) if was else ""] * bool(before)),
        ]

    columns = [
        "people who met an item",
        "items",
        "held out",
        "recall@20",
        "share of lists",
        "ever shown",
        *["recall, change on parent"] * bool(before),
    ]
    return table("By popularity of items, on the validation items", columns, map(row, found.items))
