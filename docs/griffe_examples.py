"""For the API pages: the examples of docstrings stand in code blocks (mkdocs.yml names this file)."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)Example:\n((?:\1 +\S.*\n?|\s*\n)+)", re.MULTILINE)


class FencedExamples(griffe.Extension):
    """Turns the text below `Example:` into a fenced block."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of one module, class or function."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(_fenced, obj.docstring.value)


def _fenced(found: re.Match[str]) -> str:
    text = textwrap.dedent(found[2]).strip("\n")
    block = f"```{'pycon' if '>>>' in text else 'python'}\n{text}\n```"
    return f"{found[1]}Example:\n" + textwrap.indent(block, found[1] + "    ") + "\n"
