"""The page of a run: its curves, who is served badly, the run before it, data and settings."""

from hearth.report.comparison import comparison
from hearth.report.document import document
from hearth.report.facts import data, settings
from hearth.report.groups import groups
from hearth.report.markup import Markup, element
from hearth.report.progress import in_bytes, progress
from hearth.report.record import Parent, RunRecord
from hearth.report.tables import card, change


def page(record: RunRecord, parent: Parent | None) -> bytes:
    """The report of a run, beside the run before it."""
    title = f"Training run {record.checkpoint_id}"
    return document(
        title,
        element("h1", title),
        element("p", _ended(record), element("code", "hearth evaluate"), ", and choose nothing.", class_="muted"),
        element("div", *_cards(record, parent), class_="cards"),
        progress(record, parent),
        groups(record, parent),
        comparison(record, parent),
        data(record),
        settings(record),
    )


def _ended(record: RunRecord) -> str:
    ended = "stopped by itself" if record.converged else "reached its limit"
    return (
        f"Training {ended} after {record.rounds_done} rounds; what round {record.round_number} left was published on "
        f"{record.created:%-d %B %Y at %H:%M} UTC. Quality is of the validation items throughout: the test items judge "
        f"with "
    )


def _cards(record: RunRecord, parent: Parent | None) -> list[Markup]:
    cards = []
    for name, label in (("ndcg@20", "NDCG@20, validation"), ("recall@20", "recall@20, validation")):
        if name in record.metrics:
            value = record.metrics[name]
            before = parent.manifest.metrics.get(name) if parent else None
            lines = [f"{change(value, before)} on the parent's {before:.4f}"] if before else []
            cards.append(card(f"{value:.4f}", label, *lines))
    cards.append(card(f"{record.seconds:,.1f} s", "of training", f"{record.rounds_done} rounds, evaluation apart"))
    if record.rounds:
        last = record.rounds[-1]
        clients = sum(x.cohort for x in record.rounds)
        speed = clients / record.seconds if record.seconds else 0
        cards.append(card(in_bytes(last.uplink_bytes_per_client), "sent by a client", "in each round it takes part in"))
        if record.uplink_bytes_once:
            cards.append(card(in_bytes(record.uplink_bytes_once), "sent by each client, once", "after the rounds"))
        cards.append(card(f"{speed:,.0f}", "client updates a second", f"{clients:,} updates in all"))
    return cards
