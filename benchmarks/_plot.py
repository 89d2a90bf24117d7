"""Bar charts as SVG: one file without a script or a font, readable on dark and light pages, and by a screen reader."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

WIDTH, ROW, MARGIN, RIGHT = 760, 24, 250, 90
"""Pixels: of the figure, of a bar with its gap, of the names at the left, of the numbers at the right."""

OURS = "pinwheel_async"

# It has a ground of its own, as a page may be dark where the system is light.
_STYLE = """
.ground { fill: #ffffff; } text { fill: #1b1f24; font: 13px system-ui, sans-serif; } .title { font-weight: 600; }
.quiet { fill: #565e67; } .ours { fill: #0b5cad; } .other { fill: #8b949e; } .spread { stroke: #1b1f24; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #13161a; } text { fill: #e8eaed; } .quiet { fill: #a9b1bb; } .ours { fill: #58a6ff; }
  .other { fill: #6e7681; } .spread { stroke: #e8eaed; }
}
"""


def chart(tables: Sequence[tuple[str, str, Mapping[str, Mapping[str, float]]]], note: str = "") -> str:
    """Draw a bar for each contender, as long as its median is beside the largest of its table.

    Args:
        tables: Title, unit, and figures (`median`, `q1`, `q3`) of each contender.
        note: What stands below.

    Returns:
        The text of the SVG.
    """
    parts: list[str] = []
    broken = False
    described: list[str] = []
    top = 12
    for title, unit, contenders in tables:
        limit = _limit([figures["q3"] for figures in contenders.values()])
        top += 18
        parts.append(f'<text class="title" x="16" y="{top}">{escape(title)}, {escape(unit)}</text>')
        top += 10
        for name, figures in contenders.items():
            broken |= figures["median"] > limit
            parts += _bar(name, figures, top, limit)
            described.append(f"{name}: {shown(figures['median'])} {unit}")
            top += ROW
        top += 8
    if broken:
        note = f"{note}; broken bars are longer than they look" if note else "Broken bars are longer than they look"
    if note:
        top += 14
        parts.append(f'<text class="quiet" x="16" y="{top}">{escape(note)}</text>')
    height = top + 14
    heading = "; ".join([f"{title}, {unit}" for title, unit, _ in tables])
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"',
        ' role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(heading)}</title>',
        f'<desc id="description">{escape("; ".join(described))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="10"/>',
    ]
    return "\n".join(["".join(head[:2]), *head[2:], *parts, "</svg>"]) + "\n"


def tables_of(answers: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Mapping[str, Mapping[str, float]]]]:
    """Return the tables of the answers to a question, of what was measured with quartiles."""
    return [(answer["title"], answer["unit"], answer["contenders"]) for answer in answers if answer.get("contenders")]


def shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _limit(values: Sequence[float]) -> float:
    """Return what the longest bar stands for: the largest that is at most four times as long as the one before it.

    Longer ones are broken: they would leave nothing to be seen of the others.
    """
    ordered = sorted(values)
    for value, following in pairwise(ordered):
        if value and following > 4 * value:
            return value * 1.25
    return ordered[-1] or 1


def _bar(name: str, figures: Mapping[str, float], top: float, limit: float) -> list[str]:
    """Draw name, bar, number, and a line from the first to the third quartile; a bar beyond the limit is broken."""
    middle, scale = top + ROW / 2, (WIDTH - MARGIN - RIGHT) / limit
    end = MARGIN + scale * min(figures["median"], limit)
    q1, q3 = MARGIN + scale * min(figures["q1"], limit), MARGIN + scale * min(figures["q3"], limit)
    kind = "ours" if name.startswith(OURS) else "other"
    if figures["median"] > limit:
        x = end - 40
        spread = f'<path class="ground" d="M{x:.1f} {top + ROW} l6 -{ROW} h6 l-6 {ROW} z"/>'
    else:
        spread = f'<line class="spread" x1="{q1:.1f}" x2="{q3:.1f}" y1="{middle:g}" y2="{middle:g}"/>'
    return [
        f'<text x="{MARGIN - 10}" y="{middle + 4.5:g}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="{kind}" x="{MARGIN}" y="{top + 4:g}" width="{end - MARGIN:.1f}" height="{ROW - 8}" rx="2"/>',
        spread,
        f'<text x="{max(end, q3) + 8:.1f}" y="{middle + 4.5:g}">{shown(figures["median"])}</text>',
    ]
