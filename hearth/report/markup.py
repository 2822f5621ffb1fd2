"""HTML as values: text is escaped wherever it is put into an element, unless it is HTML already."""

import html


class Markup(str):
    """HTML that stands as it is. Whatever is not of this type is text, and is escaped."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str) -> Markup:
    """An element with its end tag. Attributes are named as in HTML, `class_` for class, `aria_label` for aria-label.

    >>> element("td", "a < b & c", class_="figure")
    '<td class="figure">a &lt; b &amp; c</td>'
    >>> element("p", "see ", element("b", "here"))
    '<p>see <b>here</b></p>'
    >>> element("i", title='" onclick="')
    '<i title="&quot; onclick=&quot;"></i>'
    """
    named = ((key.removesuffix("_").replace("_", "-"), value) for key, value in attributes.items())
    written = "".join(f' {key}="{html.escape(value)}"' for key, value in named)
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*parts: str) -> Markup:
    """Parts after one another, text among them escaped.

    >>> joined("1 < 2", element("br"))
    '1 &lt; 2<br></br>'
    """
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part, quote=False) for part in parts))
