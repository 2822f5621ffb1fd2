"""A reliability diagram, as an SVG file that stands alone: what was foreseen across, what came true up.

On the dashed line both are the same. A dot's area is its share of the impressions.
"""

from collections.abc import Sequence
from html import escape

from serving.ads.reliability import Bin

_WIDTH, _EDGE, _SIDE = 560, 60, 420
_STYLE = """
.page{fill:#fff}.ink{fill:#1d1c1a;font:13px system-ui,sans-serif}.muted{fill:#5f5b55;font:12px system-ui,sans-serif}
.grid{stroke:#dedad3;fill:none}.even{stroke:#8b867d;stroke-dasharray:5 4}
.before{fill:#2f6f8f;stroke:#2f6f8f;fill-opacity:.35}.after{fill:#b4461a;stroke:#b4461a;fill-opacity:.35}
@media (prefers-color-scheme:dark){.page{fill:#201f1c}.ink{fill:#ece9e3}.muted{fill:#a8a39a}.grid{stroke:#3b3833}
.even{stroke:#79736a}.before{fill:#79bfe0;stroke:#79bfe0}.after{fill:#f0905f;stroke:#f0905f}}
"""


def reliability_svg(title: str, before: Sequence[Bin], after: Sequence[Bin]) -> bytes:
    """The diagram of the same impressions before calibration and after it."""
    most = max(max(one.foreseen, one.found) for one in (*before, *after)) * 1.08 or 1.0
    total = max(1, sum(one.impressions for one in after))

    def across(rate: float) -> float:
        return _EDGE + _SIDE * rate / most

    def up(rate: float) -> float:
        return _EDGE + _SIDE - _SIDE * rate / most

    parts = [
        f'<text class="ink" x="{_EDGE}" y="28" font-weight="600">{escape(title)}</text>',
        f'<rect class="grid" x="{_EDGE}" y="{_EDGE}" width="{_SIDE}" height="{_SIDE}"/>',
    ]
    below = _EDGE + _SIDE
    for step in range(6):
        rate = most * step / 5
        parts += [
            f'<path class="grid" d="M{across(rate):.1f} {_EDGE}v{_SIDE}M{_EDGE} {up(rate):.1f}h{_SIDE}"/>',
            f'<text class="muted" text-anchor="middle" x="{across(rate):.1f}" y="{below + 18}">{rate:.2%}</text>',
            f'<text class="muted" text-anchor="end" x="{_EDGE - 6}" y="{up(rate) + 4:.1f}">{rate:.2%}</text>',
        ]
    parts.append(f'<path class="even" d="M{across(0):.1f} {up(0):.1f}L{across(most):.1f} {up(most):.1f}"/>')
    for name, bins in (("before", before), ("after", after)):
        parts += [
            f'<circle class="{name}" cx="{across(one.foreseen):.1f}" cy="{up(one.found):.1f}" '
            f'r="{3 + 14 * (one.impressions / total) ** 0.5:.1f}"><title>{name}: {one.impressions:,} impressions, '
            f"foreseen {one.foreseen:.3%}, found {one.found:.3%}</title></circle>"
            for one in bins
        ]
    middle = _EDGE + _SIDE / 2
    parts += [
        f'<text class="ink" text-anchor="middle" x="{middle}" y="{below + 42}">click rate foreseen</text>',
        f'<text class="ink" text-anchor="middle" transform="translate(14 {middle})rotate(-90)">click rate found</text>',
    ]
    for at, name in ((_EDGE + 8, "before"), (_EDGE + 78, "after")):
        parts.append(f'<circle class="{name}" cx="{at}" cy="44" r="5"/>')
        parts.append(f'<text class="muted" x="{at + 10}" y="48">{name}</text>')
    size = f'width="{_WIDTH}" height="{_WIDTH}" viewBox="0 0 {_WIDTH} {_WIDTH}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
        f'<style>{_STYLE}</style><rect class="page" width="{_WIDTH}" height="{_WIDTH}"/>{"".join(parts)}</svg>\n'
    ).encode()
