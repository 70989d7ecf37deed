"""Line charts as inline SVG: no script, no font, colours that follow the reader's light or dark page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from glrg_cli.html.markup import Html, tag

CSS = """
:root { --s0: #2563a8; --s1: #c2571a; --s2: #2a8a57; --s3: #8a4fb0; --s4: #b3882b; --s5: #5d6873; }
@media (prefers-color-scheme: dark) { :root { --s0: #7fb4ea; --s1: #f0a06a; --s2: #6fd0a0; --s3: #c9a0e8;
  --s4: #e6c470; --s5: #9aa6b2; } }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
.chart { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .7rem .8rem .5rem;
  margin: 0; min-width: 0; }
.chart figcaption { font-size: .9rem; font-weight: 600; color: var(--ink); }
.chart .about { font-weight: 400; color: var(--soft); }
.chart svg { display: block; width: 100%; height: auto; }
.chart text { font-size: 11px; fill: var(--soft); }
.chart .grid-line { stroke: var(--line); stroke-width: 1; }
.chart polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .thin { stroke-width: 1.2; stroke-dasharray: 4 3; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .8rem; margin: .2rem 0 0; padding: 0;
  list-style: none; color: var(--soft); }
.legend i { display: inline-block; width: 1rem; height: 0; border-top: 3px solid; margin-right: .35rem;
  vertical-align: middle; }
.legend i.thin { border-top: 2px dashed; }
"""
COLOURS = 6
_WIDTH, _HEIGHT = 360, 216
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 34
_DIGIT = 6.8  # width of a digit of the numbers at the axes
_MOST_POINTS = 400  # of a line: more make the page heavy and nothing clearer


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0  # of COLOURS, taken around
    thin: bool = False  # dashed: what stands beside the main lines


def line_chart(title: str, lines: Sequence[Line], *, about: str = "", x_name: str = "epoch") -> Html | None:
    """A chart with a legend; None where no line has a point.

    Args:
        title: its head.
        lines: points that are not finite are left out.
        about: said beside the title.
        x_name: what lies to the right.
    """
    drawn = [(line, _points(line)) for line in lines]
    drawn = [(line, points) for line, points in drawn if points]
    if not drawn:
        return None
    everything = [point for _, points in drawn for point in points]
    upward = _Scale.of([y for _, y in everything], _HEIGHT - _BOTTOM, _TOP)
    left = max(_LEFT, 10 + _DIGIT * max(len(f"{mark:g}") for mark in upward.marks))
    across = _Scale.of([x for x, _ in everything], left, _WIDTH - _RIGHT, tight=True)
    marks = [*(_level(y, upward, left) for y in upward.marks), *(_column(x, across) for x in across.marks)]
    marks.append(tag("text", x_name, x=_WIDTH - _RIGHT, y=_HEIGHT - 3, text_anchor="end"))
    paths = [_path(line, points, across, upward) for line, points in drawn]
    ends = "; ".join(f"{line.name} {points[0][1]:.3g} to {points[-1][1]:.3g}" for line, points in drawn)
    view = f"0 0 {_WIDTH} {_HEIGHT}"
    picture = tag("svg", marks, paths, viewBox=view, role="img", aria_label=f"{title}, by {x_name}: {ends}")
    names = [
        tag("li", tag("i", class_="thin" if line.thin else None, style=f"border-color:{_colour(line)}"), line.name)
        for line, _ in drawn
    ]
    head = tag("figcaption", title, tag("span", f" {about}", class_="about") if about else None)
    return tag("figure", head, picture, tag("ul", names, class_="legend"), class_="chart")


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float
    marks: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float, *, tight: bool = False) -> _Scale:
        """A scale with round marks that holds `values`; `tight` ends at the values instead of at a mark.

        Whole values (epochs, words) have whole marks.
        """
        low, high = min(values), max(values)
        whole = all(float(value).is_integer() for value in values)
        if high - low <= 1e-12 * max(1.0, abs(high)):
            low, high = low - 0.5, high + 0.5
        step = _round_step(max((high - low) / 4, 1.0), (1, 2, 5, 10)) if whole else _round_step((high - low) / 4)
        if not tight:
            low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return cls(low, high, start, end, tuple(number * step for number in range(first, last + 1)))

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _round_step(step: float, nices: Sequence[float] = (1, 2, 2.5, 5, 10)) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(nice * power for nice in nices if nice * power >= step * 0.999)


def _points(line: Line) -> list[tuple[float, float]]:
    points = [
        (float(x), float(y)) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(x) and math.isfinite(y)
    ]
    every = -(-len(points) // _MOST_POINTS) if points else 1
    return [*points[::every], *(points[-1:] if (len(points) - 1) % every else [])]


def _level(value: float, scale: _Scale, left: float) -> list[Html]:
    y = f"{scale(value):.1f}"
    line = tag("line", x1=left, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid-line")
    return [line, tag("text", f"{value:g}", x=left - 6, y=f"{scale(value) + 4:.1f}", text_anchor="end")]


def _column(value: float, scale: _Scale) -> Html:
    return tag("text", f"{value:g}", x=f"{scale(value):.1f}", y=_HEIGHT - 18, text_anchor="middle")


def _path(line: Line, points: list[tuple[float, float]], across: _Scale, upward: _Scale) -> Html:
    places = " ".join(f"{across(x):.1f},{upward(y):.1f}" for x, y in points)
    about = tag("title", f"{line.name}: {points[-1][1]:.4g} at the end")
    style = f"stroke:{_colour(line)}"
    if len(points) == 1:
        x, y = places.split(",")
        return tag("circle", about, cx=x, cy=y, r=3, style=f"fill:{_colour(line)}")
    return tag("polyline", about, points=places, class_="thin" if line.thin else None, style=style)


def _colour(line: Line) -> str:
    return f"var(--s{line.colour % COLOURS})"
