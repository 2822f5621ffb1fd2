"""The curves of a run: what each round brought, and what it cost."""

from collections.abc import Callable, Sequence
from itertools import accumulate

from hearth.report.charts import Line, curves
from hearth.report.markup import Markup, element, joined
from hearth.report.record import Parent, RunRecord
from hearth.report.tables import table
from training.run_log import RoundRecord

Values = Callable[[Sequence[RoundRecord]], list[float | None]]

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"))


def progress(record: RunRecord, parent: Parent | None) -> Markup:
    """The section of curves, and the rounds as a table."""
    if not record.rounds:
        return joined(element("h2", "Rounds"), element("p", "No round is on record."))
    earlier = parent.record if parent and parent.record else None
    marked = record.round_number
    per_client = byte_unit(record.uplink_bytes)
    together = byte_unit(sum(_sent_by_all(record.rounds)))

    def drawn(name: str, title: str, unit: str, values: Values, mark: int | None = None) -> Markup:
        before = _line(f"parent {earlier.checkpoint_id}", earlier.rounds, values) if earlier else None
        return curves(name, title, unit, _line("this run", record.rounds, values), before, marked=mark)

    charts = [
        drawn("loss", "Loss of the clients, before each step", "mean local loss", lambda r: [x.loss for x in r]),
        drawn(
            "bytes-client",
            "Sent by a client that takes part in every round",
            f"{per_client[1]}, all rounds so far",
            lambda r: [n / per_client[0] for n in accumulate(x.uplink_bytes_per_client for x in r)],
        ),
        drawn(
            "bytes-all",
            "Sent by all clients together",
            f"{together[1]}, all rounds so far",
            lambda r: [n / together[0] for n in accumulate(_sent_by_all(r))],
        ),
        drawn(
            "seconds",
            "Seconds of training, evaluation apart",
            "s, all rounds so far",
            lambda r: list(accumulate(x.seconds for x in r)),
        ),
    ]
    if any(x.ndcg is not None for x in record.rounds):
        charts.insert(0, drawn("ndcg", "NDCG@20, validation", "NDCG@20", lambda r: [x.ndcg for x in r], marked))
        charts.insert(1, drawn("recall", "Recall@20, validation", "recall@20", lambda r: [x.recall for x in r], marked))
    told = [element("h2", "Rounds"), element("div", *charts, class_="charts")]
    if record.missing_rounds:
        told.insert(1, element("p", _missing(record.missing_rounds), class_="note"))
    if record.uplink_bytes_once:
        told.insert(1, element("p", _AFTERWARDS, class_="note"))
    return joined(*told, _rounds(record))


_AFTERWARDS = (
    "Charts and table are of the two towers alone. What clients sent once after the rounds is in neither, nor is what "
    "it brought; the figures at the top of the page, those of the published checkpoint, have both."
)


def byte_unit(most: float) -> tuple[float, str]:
    """Bytes in the unit that suits numbers up to `most`, and its name.

    >>> byte_unit(2_500_000), byte_unit(12)
    ((1000000.0, 'MB'), (1.0, 'bytes'))
    """
    return next(((size, name) for size, name in _UNITS if most >= size), (1.0, "bytes"))


def in_bytes(number: float) -> str:
    """A number of bytes for a person.

    >>> in_bytes(2_540_000), in_bytes(12)
    ('2.54 MB', '12 bytes')
    """
    size, name = byte_unit(number)
    return f"{number / size:.3g} {name}" if size > 1 else f"{number:.0f} {name}"


def _sent_by_all(rounds: Sequence[RoundRecord]) -> list[int]:
    return [record.cohort * record.uplink_bytes_per_client for record in rounds]


def _line(label: str, rounds: Sequence[RoundRecord], values: Values) -> Line:
    numbers = [(record.round_number, value) for record, value in zip(rounds, values(rounds), strict=True)]
    there = [(number, value) for number, value in numbers if value is not None]
    return Line(label, [number for number, _ in there], [value for _, value in there])


def _missing(rounds: Sequence[int]) -> str:
    return (
        f"{len(rounds)} of the rounds ({rounds[0]} to {rounds[-1]}) are not on record: the log of an earlier session "
        f"was lost. Sums over rounds leave them out."
    )


def _rounds(record: RunRecord) -> Markup:
    columns = ("round", "cohort", "loss", "NDCG@20", "recall@20", "seconds", "clients/s", "sent by a client", "UTC")
    rows = (
        (
            f"{x.round_number}{' (published)' if x.round_number == record.round_number else ''}",
            f"{x.cohort:,}",
            f"{x.loss:.4f}",
            "-" if x.ndcg is None else f"{x.ndcg:.4f}",
            "-" if x.recall is None else f"{x.recall:.4f}",
            f"{x.seconds:.3f}",
            f"{x.clients_per_second:,.0f}",
            in_bytes(x.uplink_bytes_per_client),
            f"{x.finished:%Y-%m-%d %H:%M:%S}",
        )
        for x in record.rounds
    )
    shown = table("Each round; quality is of the validation items", columns, rows)
    return element("details", element("summary", f"All {len(record.rounds)} rounds as a table"), shown)
