"""Comparison with the parent run: figures side by side, and the settings that differ."""

from hearth.report.markup import Markup, element, joined
from hearth.report.progress import in_bytes
from hearth.report.record import Parent, RunRecord, Setting
from hearth.report.tables import change, table

_DIGESTS = {"data", "features"}


def comparison(record: RunRecord, parent: Parent | None) -> Markup:
    """The section on the parent."""
    title = element("h2", "Beside the parent run")
    if parent is None:
        return joined(title, element("p", "This is the first checkpoint of the registry for its verticals."))
    told = [title]
    if parent.facts.get("data") != record.facts.get("data"):
        warning = "The parent was trained on other data: its figures are of other people or items, and no measure."
        told.append(element("p", warning, class_="note"))
    if parent.note:
        told.append(element("p", f"Curves of the parent are missing: {parent.note}.", class_="note"))
    return joined(*told, element("div", _figures(record, parent), _settings(record, parent), class_="pair"))


def different(record: RunRecord, parent: Parent) -> dict[str, tuple[Setting, Setting]]:
    """What the two runs follow from and do not have alike: name -> (here, there).

    Of a parent without a record only what its checkpoint says can be compared.
    """
    names = {*record.facts, *parent.facts} if parent.record else set(parent.facts)
    pairs = {name: (record.facts.get(name), parent.facts.get(name)) for name in sorted(names)}
    return {name: (here, there) for name, (here, there) in pairs.items() if here != there}


def _figures(record: RunRecord, parent: Parent) -> Markup:
    rows = []
    for name, value in record.metrics.items():
        before = parent.manifest.metrics.get(name)
        if name == "users" or before is None:
            continue
        rows.append(
            (name.replace("ndcg", "NDCG").replace("hr@", "HR@"), f"{value:.4f}", f"{before:.4f}", change(value, before))
        )
    rows.append(("round published", str(record.round_number), str(parent.manifest.round_number), ""))
    earlier = parent.record
    if earlier:
        rows.append(("rounds done", str(record.rounds_done), str(earlier.rounds_done), ""))
        rows.append(
            (
                "seconds of training",
                f"{record.seconds:.1f}",
                f"{earlier.seconds:.1f}",
                change(record.seconds, earlier.seconds),
            )
        )
        rows.append(
            (
                "sent by a client, all rounds",
                in_bytes(record.uplink_bytes),
                in_bytes(earlier.uplink_bytes),
                change(record.uplink_bytes, earlier.uplink_bytes),
            )
        )
    columns = ("", "this run", f"parent {parent.manifest.checkpoint_id}", "change")
    return table("Figures; quality is of the validation items", columns, rows)


def _settings(record: RunRecord, parent: Parent) -> Markup:
    found = different(record, parent)
    if not found:
        return element("p", "Both follow from the same settings, data and features.")
    rows = [(name, shown(name, here), shown(name, there)) for name, (here, there) in found.items()]
    return table("What differs", ("", "this run", "parent"), rows, words=True)


def shown(name: str, value: Setting) -> str:
    """A setting for a person; of a digest the beginning, which tells two apart.

    >>> shown("alpha", 0.1984564), shown("data", "5d0a1c9b7e21aa"), shown("alpha", None)
    ('0.198456', '5d0a1c9b…', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value[:8]}…" if name in _DIGESTS and isinstance(value, str) else str(value)
