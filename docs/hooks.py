"""For the site (mkdocs.yml names this file): no page asks for anything outside of the site, and lists are lists."""

from __future__ import annotations

import re
from typing import Any

_ELSEWHERE = "https://unpkg.com/iframe-worker/shim"
_OURS = "assets/iframe-worker.js"
_FENCE = re.compile(r" *```")
_BLOCK = re.compile(r"(- |\d+\. |\|)")  # the first line of a list or a table


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts an empty line before every list and table: GitHub needs none after a paragraph, Python's Markdown does."""
    lines: list[str] = []
    fenced, begun = False, False
    for line in markdown.split("\n"):
        fence = bool(_FENCE.match(line))
        starts = not (fenced or fence) and bool(_BLOCK.match(line))
        if starts and not begun and lines and lines[-1].strip():
            lines.append("")
        fenced ^= fence
        begun = starts or (begun and bool(line.strip()) and not fence)
        lines.append(line)
    return "\n".join(lines)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Takes the search's helper script of the offline plugin from the site itself."""
    return output.replace(_ELSEWHERE, "../" * page.url.count("/") + _OURS)
