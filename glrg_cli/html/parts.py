"""What reports are put together from: tables, bars, lists that fold, cards, notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from glrg_cli.html.markup import Html, Part, join, tag


def section(title: str, *body: Part, id_: str | None = None) -> Html:
    """A part of the page with a head of its own."""
    return tag("section", tag("h2", title), *body, id=id_)


def table(columns: Sequence[str], rows: Sequence[Sequence[Part]]) -> Html:
    """A table that scrolls sideways on a narrow screen; columns of numbers stand to the right."""
    numeric = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    classes = ["number" if right else None for right in numeric]
    head = tag("tr", [tag("th", name, class_=cls) for name, cls in zip(columns, classes, strict=True)])
    body = [tag("tr", [tag("td", _cell(c), class_=cls) for c, cls in zip(row, classes, strict=True)]) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", body)), class_="scroll")


def bars(values: Sequence[tuple[str, float]], full: float = 1.0) -> Html:
    """Words with a bar each, as long as the value is of `full`."""
    rows = []
    for word, value in values:
        share = max(0.0, min(1.0, value / full if full > 0 else 0.0))
        bar = tag("span", tag("i", style=f"width:{100 * share:.1f}%"), class_="bar")
        rows.append(tag("li", tag("span", word, class_="word"), bar, tag("span", f"{value:.2f}", class_="value")))
    return tag("ul", rows, class_="bars")


def facts(pairs: Mapping[str, Part]) -> Html:
    """Short facts in a line: name and value."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs.items()], class_="facts")


def folded(summary: str, *body: Part) -> Html:
    """What is shown on a click."""
    return tag("details", tag("summary", summary), *body)


def sentences(lines: Sequence[str], shown: int, more: str = "more") -> Html:
    """A list of sentences, the first `shown` open, the others folded."""
    head = tag("ul", [tag("li", line) for line in lines[:shown]], class_="sentences")
    rest = lines[shown:]
    tail = folded(f"{len(rest)} {more}", tag("ul", [tag("li", line) for line in rest], class_="sentences"))
    return join(head, tail if rest else None)


def notes(lines: Iterable[str], kind: str = "warning") -> Html | None:
    """Warnings (or, with kind "error", failures); None where there are none."""
    found = [tag("li", line) for line in lines]
    return tag("ul", found, class_=f"notes {kind}") if found else None


def card(*body: Part, kind: str | None = None) -> Html:
    """A box of a grid."""
    return tag("article", *body, class_=f"card {kind}" if kind else "card")


def grid(cards: Iterable[Html]) -> Html:
    """Cards side by side, as many as the screen is wide enough for."""
    return tag("div", list(cards), class_="grid")


def _cell(value: Part) -> Part:
    return f"{value:.2f}" if isinstance(value, float) else value
