"""Charts, as SVG that stands inside the page and takes its colours and its font from there.

matplotlib draws with stand-in colours; each is replaced by a variable of the page's style, which has one value for
light and one for dark. The same data gives the same bytes.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hearth.report.markup import Markup, element, joined

_INK, _GRID, _OWN, _PARENT = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {_INK: "var(--muted)", _GRID: "var(--grid)", _OWN: "var(--own)", _PARENT: "var(--parent)"}
_STYLE: dict[Any, Any] = {  # matplotlib types the names of its settings one by one
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found and copied
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 0,
    "font.size": 10,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 2,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: one value a round, by round number; or dots, where what is between two values means nothing."""

    label: str
    rounds: Sequence[int]
    values: Sequence[float]
    dots: bool = False


def curves(
    name: str,
    title: str,
    unit: str,
    own: Line,
    parent: Line | None = None,
    *,
    marked: int | None = None,
    mark: str = "published",
    across: str = "round",
) -> Markup:
    """A figure of this run's curve over the rounds, the parent's behind it.

    Args:
        name: distinct among the figures of a page; letters and hyphens.
        title: what the figure is called.
        unit: of the values.
        own: of this run.
        parent: of the run compared with.
        marked: a round to point out.
        mark: what it is.
        across: what the curve goes over, where it is not rounds.
    """
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure, axes = _axes()
        if parent and parent.values:
            axes.plot(parent.rounds, parent.values, color=_PARENT, linestyle=(0, (4, 2)), **_dot(parent))
        axes.plot(own.rounds, own.values, color=_OWN, **_dot(own))
        if marked is not None and marked in own.rounds:
            at = list(own.rounds).index(marked)
            axes.plot([marked], [own.values[at]], "o", color=_OWN, markersize=7)
        axes.set_xlabel(across)
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.margins(x=0.03)
        svg = _svg(name, title, _described(own, parent, unit, across), figure)
    legend = [_key("dots" if own.dots else "own", own.label)]
    if parent and parent.values:
        legend.append(_key("parent", parent.label))
    if marked in own.rounds:
        legend.append(_key("mark", f"{mark}: {across} {marked}"))
    return element("figure", element("figcaption", element("b", title), joined(*legend)), svg, class_="chart")


def bars(name: str, title: str, labels: Sequence[str], values: Sequence[int], across: str, up: str) -> Markup:
    """A figure with a bar for each label; `across` and `up` name the axes."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure, axes = _axes()
        drawn = axes.bar(range(len(labels)), values, color=_OWN, width=0.75)
        axes.bar_label(drawn, [f"{value:,}" if value else "" for value in values], color=_INK, fontsize=8, padding=2)
        axes.set_xticks(range(len(labels)), labels, rotation=40 if len(labels) > 7 else 0)
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        described = "; ".join(f"{label}: {value:,}" for label, value in zip(labels, values, strict=True))
        svg = _svg(name, title, f"{up} by {across}: {described}.", figure)
    return element("figure", element("figcaption", element("b", title)), svg, class_="chart")


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.6, 2.7), layout="constrained", facecolor="none")
    axes = figure.subplots()
    axes.set_facecolor("none")
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    return figure, axes


def _dot(line: Line) -> dict[str, Any]:
    """A curve of one point would not be seen without a dot."""
    joined_by = {"linestyle": "none"} if line.dots else {}
    return {"marker": "o", "markersize": 4, **joined_by} if line.dots or len(line.values) == 1 else {}


def _described(own: Line, parent: Line | None, unit: str, across: str) -> str:
    lines = [line for line in (own, parent) if line and line.values]
    told = (
        f"{line.label}: from {line.values[0]:.4g} in {across} {line.rounds[0]} to {line.values[-1]:.4g} in {across} "
        f"{line.rounds[-1]}, least {min(line.values):.4g}, most {max(line.values):.4g}"
        for line in lines
    )
    return f"{unit}. {'; '.join(told)}." if lines else "No values."


def _key(kind: str, label: str) -> Markup:
    return element("span", element("i", class_=f"key {kind}", aria_hidden="true"), label, class_="legend")


def _svg(name: str, title: str, description: str, figure: Figure) -> Markup:
    """The figure as an element of the page, with ids of its own, a title and a description."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :]
    # Inside a page a style sheet of a figure would be one of the page.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    view = re.search(r'viewBox="[^"]*"', svg)
    if view is None:
        raise ValueError(f"matplotlib drew the figure {name} without a view box")
    told = joined(element("title", title, id=f"{name}-title"), element("desc", description, id=f"{name}-desc"))
    start = f'<svg {view[0]} role="img" aria-labelledby="{name}-title {name}-desc">'
    body = svg[svg.index(">") + 1 :].replace("xlink:href", "href")
    return Markup(f"{start}{told}{body}".strip())
