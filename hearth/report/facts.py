"""What a run was made from: its data, its settings, the machine."""

import json

from hearth.report.charts import bars
from hearth.report.comparison import shown
from hearth.report.groups import span
from hearth.report.markup import Markup, element, joined
from hearth.report.record import RunRecord
from hearth.report.tables import card, table


def data(record: RunRecord) -> Markup:
    """The section on the data."""
    counts = record.statistics
    people, items = counts.people_by_history, counts.items_by_people
    cards = (
        card(f"{counts.people:,}", "people"),
        card(f"{counts.items:,}", "items", f"{counts.unmet_items:,} of them nobody met in train"),
        card(f"{counts.train:,}", "train interactions", f"valid {counts.valid:,}, test {counts.test:,}"),
        card(f"{counts.density:.3%}", "density", "of all pairs of person and item, in train"),
        card(f"{counts.top_tenth:.1%}", "of train interactions", "are with the best-known tenth of the items"),
    )
    charts = (
        bars(
            "histories",
            "How much people have done",
            [span(x.least, x.most) for x in people],
            [x.number for x in people],
            "train items of a person",
            "people",
        ),
        bars(
            "popularity",
            "How well known items are",
            [span(x.least, x.most) for x in items],
            [x.number for x in items],
            "people who met an item in train",
            "items",
        ),
    )
    title = element("h2", "The data")
    return joined(title, element("div", *cards, class_="cards"), element("div", *charts, class_="charts"))


def settings(record: RunRecord) -> Markup:
    """The section on settings and machine."""
    catalogues = ", ".join(f"{vertical} ({number:,} items)" for vertical, number in record.catalogues.items())
    rows = [("catalogues", catalogues), *((name, shown(name, value)) for name, value in sorted(record.facts.items()))]
    machine = [(name, shown(name, value)) for name, value in record.machine.items()]
    pair = (
        table("What the numbers follow from", (), rows, words=True),
        table("Where and when", (), machine, words=True),
    )
    as_json = json.dumps(record.training_settings, indent=2, ensure_ascii=False)
    again = element("details", element("summary", "As a file of settings"), element("pre", as_json))
    return joined(element("h2", "Settings"), element("div", *pair, class_="pair"), again)
