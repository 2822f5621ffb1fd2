"""The page of a retraining: the gate's decision and why, the figures of both, the cells, bytes and seconds."""

from collections.abc import Mapping

from hearth.report.charts import Line, curves
from hearth.report.document import document
from hearth.report.markup import Markup, element, joined
from hearth.report.tables import card, change, table
from hearth.retraining.record import RetrainingRecord

_TITLES = {
    "promoted": "The candidate was promoted",
    "kept": "Production was kept",
    "skipped": "Nothing was trained",
    "failed": "The retraining failed",
}
_JUDGED_BY = {
    "newer than production": "Judged by held-out items that people met after production's training had read the "
    "events: neither model has seen them.",
    "held out": "Judged by all held-out items. Too few of them are newer than production's training, which may have "
    "seen some of the others: that favours production.",
    "nothing": "Nobody was judged.",
}
_FIGURES = ("ndcg@20", "recall@20", "hr@10", "coverage@20", "users")


def retraining_page(record: RetrainingRecord) -> bytes:
    """The report, as HTML that needs nothing else."""
    title = f"Retraining of {record.started:%-d %B %Y, %H:%M} UTC"
    return document(
        title,
        element("h1", title),
        element("p", element("b", _TITLES[record.decision]), f": {record.why}.", class_="note"),
        element("div", *_cards(record), class_="cards"),
        _gate(record),
        _cells(record),
        _rounds(record),
        _about(record),
    )


def in_bytes(number: float) -> str:
    """In the unit that suits it.

    >>> in_bytes(2_500_000), in_bytes(12)
    ('2.5 MB', '12 bytes')
    """
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} bytes"


def _cards(record: RetrainingRecord) -> list[Markup]:
    cards = []
    candidate, other = record.figures.get("candidate"), _other(record)
    if candidate:
        for name, label in (
            ("ndcg@20", "NDCG@20 of the candidate"),
            ("coverage@20", "of the items are in lists of 20"),
        ):
            lines = [label]
            if other:
                who, figures = other
                lines.append(f"{change(candidate[name], figures[name])} beside {who}'s {figures[name]:.4f}".strip())
            cards.append(card(f"{candidate[name]:.4f}", *lines))
        cards.append(card(f"{candidate['users']:,.0f}", "people judged"))
    cards.append(card(f"{record.new_items:,}", "items met since production" if record.since else "items met"))
    cards.append(card(f"{record.seconds:,.0f} s", "in all", f"{record.training_seconds:,.0f} s of them in rounds"))
    cards.append(card(in_bytes(record.downlink_bytes), "sent to cells", f"{in_bytes(record.uplink_bytes)} from them"))
    return cards


def _other(record: RetrainingRecord) -> tuple[str, Mapping[str, float]] | None:
    return next(((who, figures) for who, figures in record.figures.items() if who != "candidate"), None)


def _gate(record: RetrainingRecord) -> Markup:
    if not record.figures and not record.checks:
        return Markup()
    figures = [
        [who, *(f"{of[name]:,.0f}" if name == "users" else f"{of[name]:.4f}" for name in _FIGURES)]
        for who, of in record.figures.items()
    ]
    checks = [
        [check.name, f"{check.found:.6g}", f"{check.needed:.6g}", "passes" if check.passes else "fails"]
        for check in record.checks
    ]
    return joined(
        element("h2", "The gate"),
        element("p", _JUDGED_BY[record.judged_by]),
        table("Figures, of the same people and held-out items", ("", *_FIGURES), figures),
        table("What was asked of the candidate", ("figure", "found", "needed", ""), checks),
    )


def _cells(record: RetrainingRecord) -> Markup:
    told = [element("h2", "Cells")]
    adopted = ", ".join(f"{what} {number:,}" for what, number in record.adopted.items())
    rows = [("took part", ", ".join(record.cells) or "none"), ("people who train", f"{record.clients:,}")]
    rows += [("their sums", "added under masks" if record.secure_sums else "in the clear: the centre saw each cell's")]
    rows += [("people at adoption", adopted)] if adopted else []
    rows += [("asked for again, as", why) for why in record.restarts]
    told.append(table("Who took part", (), rows, words=True))
    if record.missed:
        told.append(table("What cells had no part in", ("what", "cell", "why"), record.missed, words=True))
    return joined(*told)


def _rounds(record: RetrainingRecord) -> Markup:
    if not record.rounds:
        return Markup()
    numbers = [x.round_number for x in record.rounds]
    loss = Line("this retraining", numbers, [x.loss for x in record.rounds])
    seconds = Line("this retraining", numbers, [x.seconds for x in record.rounds])
    charts = (
        curves("loss", "Loss of the clients, before each step", "mean local loss", loss),
        curves("seconds", "Seconds of a round", "s", seconds),
    )
    resumed = f"It went on from round {record.resumed_at} of an earlier attempt." if record.resumed_at else ""
    start = "It began with production's item vectors. " if record.warm else "It began with a new model. "
    return joined(element("h2", "Rounds"), element("p", start + resumed), element("div", *charts, class_="charts"))


def _about(record: RetrainingRecord) -> Markup:
    rows = [
        ("production before", record.production or "none"),
        ("candidate", record.candidate or "none"),
        ("events until, of production", f"{record.since:%Y-%m-%d %H:%M:%S} UTC" if record.since else "-"),
        ("started", f"{record.started:%Y-%m-%d %H:%M:%S} UTC"),
        ("ended", f"{record.ended:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    settings = RetrainingRecord.model_dump_json(record, include={"settings"}, indent=2)
    again = element("details", element("summary", "Settings"), element("pre", settings))
    return joined(element("h2", "What it was"), table("Checkpoints and times", (), rows, words=True), again)
