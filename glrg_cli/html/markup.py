"""Markup that escapes by itself: captions, file names and messages come from files and must not become tags.

Example:
    >>> str(tag("p", "a < b", class_="note"))
    '<p class="note">a &lt; b</p>'
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable

from glrg_cli.html.style import CSS

_VOID = ("img", "br", "hr", "meta", "link", "input", "source")
# The browser itself refuses whatever would be fetched or run: a page of ours is one file and only shows.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Html(str):
    """Text that is markup already and is put in as it is."""

    __slots__ = ()


Part = str | int | float | Html | None | Iterable["Part"]


def tag(name: str, /, *children: Part, **attributes: str | int | float | bool | None) -> Html:
    """An element.

    Args:
        name: of the element.
        children: text (escaped), markup, numbers, or iterables of these; None is left out.
        attributes: a trailing or inner `_` is dropped or becomes `-` (`class_`, `aria_label`); None and False are left
            out, True has no value.
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        written.append(f" {label}" if value is True else f' {label}="{html.escape(str(value), quote=True)}"')
    opening = f"<{name}{''.join(written)}>"
    return Html(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def join(*parts: Part) -> Html:
    """Several parts one after the other, text escaped."""
    return Html("".join(_pieces(parts)))


def page(title: str, *body: Part, lead: Part = None, css: str = "", script: str = "", policy: str = "") -> str:
    """A whole document that loads nothing.

    Args:
        title: of the browser's tab and the head of the page.
        body: its parts.
        lead: what stands under the head.
        css: rules after the common ones.
        script: the one script the browser may run, at the end of the page; it must not hold "</script".
        policy: further rules of the content security policy, such as "media-src blob:".
    """
    policy = "; ".join(filter(None, (_POLICY, policy)))
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
        policy += f"; script-src 'sha256-{digest}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(CSS + css)),
    )
    intro = tag("header", tag("h1", title), tag("div", lead, class_="lead") if lead is not None else None)
    last = tag("script", Html(script)) if script else None
    document = tag("html", head, "\n", tag("body", intro, "\n", tag("main", *body), last), lang="en")
    return f"<!doctype html>\n{document}\n"


def _pieces(parts: Iterable[Part]) -> Iterable[str]:
    for part in parts:
        if part is None:
            continue
        if isinstance(part, Html):
            yield part
        elif isinstance(part, str | int | float):
            yield html.escape(_visible(str(part)), quote=False)
        else:
            yield from _pieces(part)


def _visible(text: str) -> str:
    """Text without the control characters and half surrogates that no utf-8 page may hold."""
    kept = (letter if letter in "\n\t" or ord(letter) >= 32 else " " for letter in text)
    return "".join(kept).encode("utf-8", "replace").decode("utf-8")
