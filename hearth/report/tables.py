"""Tables of the report."""

from collections.abc import Iterable, Sequence

from hearth.report.markup import Markup, element, joined


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False) -> Markup:
    """A table whose first cell of a row names it.

    Args:
        caption: what the table is of.
        columns: their names; without any, rows have two cells, a name and a value.
        rows: a cell that is an element already, such as `bar` makes, stands as it is; another is text.
        words: whether cells are words, set to the left, and not figures.
    """
    titles = element("tr", *(element("th", column, scope="col") for column in columns))
    head = element("thead", titles) if columns else Markup()
    body = [element("tr", element("th", first, scope="row"), *map(_cell, rest)) for first, *rest in rows]
    content = element("table", element("caption", caption), head, element("tbody", *body), class_=_kind(words=words))
    return element("div", content, class_="table")


def bar(value: float, largest: float, text: str = "") -> Markup:
    """A cell with a figure, and behind it a bar as long as the figure's share of the largest."""
    share = max(0.0, min(1.0, value / largest)) if largest > 0 else 0.0
    return element("td", text or f"{value:.4f}", class_="bar", style=f"--share: {share:.1%}")


def card(figure: str, *lines: str) -> Markup:
    """A figure that counts, and what it is."""
    return element("div", element("b", figure), joined(*(element("span", line) for line in lines)), class_="card")


def change(value: float, before: float) -> str:
    """How far a figure is from an earlier one, in per cent of that.

    >>> change(0.22, 0.2), change(0.1, 0.2), change(0.2, 0.2), change(1, 0)
    ('+10.0 %', '−50.0 %', '±0.0 %', '')
    """
    if before == 0:
        return ""
    share = 100 * (value / before - 1)
    rounded = f"{abs(share):.1f} %"
    sign = "±" if rounded == "0.0 %" else "+" if share > 0 else "−"
    return f"{sign}{rounded}"


def _cell(cell: str) -> Markup:
    return cell if isinstance(cell, Markup) else element("td", cell)


def _kind(*, words: bool) -> str:
    return "words" if words else "figures"
