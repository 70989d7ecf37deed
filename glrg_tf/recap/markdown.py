"""`recap.md`: the texts to read, and to edit. Every text is a line that ends in a comment, which renderers do not show.

    - 0:00:04 a red ball rolls <!--clip 1 9f1c2ab0-->

The comment names the text and holds the check of what was written, so that an edited line is recognised. A line
without its comment is not an edit; neither is a line that was removed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from glrg_tf.recap.timeline import Recap, Told, check_of, clock, one_line

_LINE = re.compile(r"^(?:(?:## |- )\d+:\d\d:\d\d ?)?(.*?)\s*<!--(clip|segment|video) (\d{1,9}) ([0-9a-f]{8})-->\s*$")


def to_markdown(recap: Recap) -> str:
    """The page of a recap."""
    lines = [f"# {_shown(str(recap.video['name']))}", ""]
    if recap.summary is not None:
        lines += [_line("", recap.summary), ""]
    lines += [f"*{_shown(note)}*\n" for note in recap.notes]
    for told, own in zip(recap.segments, recap.members, strict=True):
        lines += [_line(f"## {clock(told.window.start)} ", told), ""]
        lines += [_line(f"- {clock(recap.clips[i].window.start)} ", recap.clips[i]) for i in own]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def edited_lines(text: str) -> Iterator[tuple[str, int, str, str]]:
    """(level, index, text as it stands, check of what was written) of every line with its comment."""
    for line in text.splitlines():
        if found := _LINE.match(line):
            shown, level, index, check = found.groups()
            yield level, int(index), one_line(html.unescape(shown)), check


def _line(head: str, told: Told) -> str:
    window = told.window
    return f"{head}{_shown(told.text)} <!--{window.level} {window.index} {check_of(told.text)}-->"


def _shown(text: str) -> str:
    """Text that no renderer takes for markup."""
    return re.sub(
        r"[\\`*\[\]]|(?<!\w)_|_(?!\w)", lambda m: f"&#{ord(m.group())};", html.escape(one_line(text), quote=False)
    )
