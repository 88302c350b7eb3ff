"""What the suite finds out: this file is one figure, what it must be, and all of them as a table and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log2


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` of ``what``; ``least`` and ``most`` are its limits, ``None`` for one that is only told.

    ``detail``: what it was made of, in words.
    """

    what: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None
    detail: str = ""

    @property
    def met(self) -> bool:
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def limit(self) -> str:
        if self.least is not None:
            return f"at least {_told(self.least)}"
        return f"at most {_told(self.most)}" if self.most is not None else ""

    @property
    def told(self) -> str:
        return f"{_told(self.value)} {self.unit}".rstrip()


def table(figures: Sequence[Figure]) -> str:
    """As Markdown."""
    lines = ["| what | figure | wanted | | made of |", "|---|---|---|---|---|"]
    for each in figures:
        mark = "" if not each.limit else "met" if each.met else "**missed**"
        lines.append(f"| {each.what} | {each.told} | {each.limit} | {mark} | {each.detail} |")
    return "\n".join(lines) + "\n"


_ROW, _LEFT, _WIDTH = 26, 330, 420


def plot(figures: Sequence[Figure], title: str) -> str:
    """As SVG: for each figure with a limit how far beyond it is, on a scale of doublings; the line is the limit."""
    limited = [each for each in figures if each.limit and each.value > 0]
    height = _ROW * (len(limited) + 2)
    middle = _LEFT + _WIDTH // 3
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<text x="10" y="18" font-size="14">{escape(title)}</text>',
    ]
    for number, each in enumerate(limited, 1):
        top = _ROW * number + 8
        length = min(2.0, max(-1.0, _doublings(each) / 2)) * _WIDTH / 3
        left, colour = (middle, "#2a7") if length >= 0 else (middle + length, "#c33")
        parts += [
            f'<text x="{_LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(each.what)}</text>',
            f'<rect x="{left:.0f}" y="{top}" width="{max(1, abs(length)):.0f}" height="18" fill="{colour}"/>',
            f'<text x="{left + abs(length) + 6:.0f}" y="{top + 13}">{escape(each.told)}</text>',
        ]
    parts.append(f'<line x1="{middle}" y1="28" x2="{middle}" y2="{height - 10}" stroke="#333"/>')
    return "\n".join([*parts, "</svg>", ""])


def _told(value: float) -> str:
    """In three digits that count, as nobody reads 2.15e+03."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _doublings(figure: Figure) -> float:
    """How often the limit fits into the figure, or the figure into the limit, in doublings."""
    if figure.least is not None:
        return log2(figure.value / figure.least)
    assert figure.most is not None
    return log2(figure.most / figure.value)
