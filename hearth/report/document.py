"""The document around a page: it needs nothing else, and may load nothing else."""

from hearth.report.markup import Markup, element
from hearth.report.style import STYLE

# The browser holds the page to it: no script, nothing fetched, styles from the page alone.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, *content: str) -> bytes:
    """An HTML file with that title and content."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    )
    styled = element("style", Markup(STYLE))
    whole = element(
        "html",
        element("head", Markup(head), element("title", title), styled),
        element("body", element("main", *content)),
        lang="en",
    )
    return f"<!doctype html>\n{whole}\n".encode()
