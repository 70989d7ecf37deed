"""For the API pages (mkdocs.yml names this file): what our docstrings leave to the reader's eye is marked for the page.

Examples and tables drawn with blanks become code blocks, lists lists; the comment beside a setting its description.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)Example:\n((?:\1 +\S.*\n?|\s*\n)+)", re.MULTILINE)
_COLUMNS = re.compile(r"\S {2,}\S")  # two words a wide gap apart: a drawn table
_TAG = re.compile(r"`[^`\n]*`|<\w+>")  # a word of ours (<end>), unless it is marked as code already
_BEFORE_LIST = re.compile(r"^((?!- |\s|```).+)\n(?=- )", re.MULTILINE)
_COMMENT = re.compile(r"^[^#\"']*(?:(?:\"[^\"]*\"|'[^']*')[^#\"']*)*#\s*(.+)$")


class ReadablePages(griffe.Extension):
    """See the module."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of one module, class or function."""
        if obj.docstring is not None:
            text = _EXAMPLE.sub(_fenced, _TAG.sub(_shown, obj.docstring.value))
            text = _BEFORE_LIST.sub(r"\1\n\n", text)  # without the empty line it would be no list
            obj.docstring.value = "\n\n".join(_drawn(paragraph) for paragraph in text.split("\n\n"))

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Describes a field of a dataclass by the comment beside it."""
        if attr.docstring is None and attr.lineno and attr.parent is not None and attr.parent.is_class:
            found = _COMMENT.match(attr.lines_collection[attr.filepath][attr.lineno - 1])
            if found:
                text = _TAG.sub(_shown, found[1].strip())
                attr.docstring = griffe.Docstring(text[:1].upper() + text[1:] + ".", parent=attr)


def _shown(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("`") else f"`{found[0]}`"


def _fenced(found: re.Match[str]) -> str:
    text = textwrap.dedent(found[2]).strip("\n")
    block = f"```{'pycon' if '>>>' in text else 'python'}\n{text}\n```"
    return f"{found[1]}Example:\n" + textwrap.indent(block, found[1] + "    ") + "\n"


def _drawn(paragraph: str) -> str:
    lines = paragraph.strip("\n").splitlines()
    drawn = sum(bool(_COLUMNS.search(line)) for line in lines) >= max(2, len(lines) // 2)
    if not drawn or "```" in paragraph or re.match(r"\s*[A-Z][a-z]+:$", lines[0]):
        return paragraph
    return "```text\n" + textwrap.dedent(paragraph.strip("\n")) + "\n```"
