"""What the importers of several levels share: times and texts of foreign files, and a count of what was mended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glrg_tf.data.importers.common import mention
from glrg_tf.data.levels import seconds
from glrg_tf.errors import AnnotationError


def clean(text: str) -> str:
    """Text with single blanks between its words."""
    return " ".join(text.split())


class Drops:
    """Checks times and texts, and remembers what was left out or mended for the notes of the import.

    Args:
        drop_empty: whether empty texts are left out instead of refusing the import.
    """

    def __init__(self, drop_empty: bool) -> None:
        self._drop_empty = drop_empty
        self._found: dict[str, list[str]] = {}

    def count(self, what: str, example: str) -> None:
        """Remembers that `what` happened to `example`."""
        self._found.setdefault(what, []).append(example)

    def notes(self) -> list[str]:
        """One sentence a kind of mending."""
        return [f"{len(names)} {what} ({mention(names)})" for what, names in sorted(self._found.items())]

    def times(self, pair: Sequence[Any], where: str) -> tuple[float, float]:
        """Start and end in seconds; exchanged where the end comes first.

        Raises:
            AnnotationError: not two numbers of seconds.
        """
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise AnnotationError("expected two numbers of seconds", where=where, remedy="[start, end]")
        start, end = seconds(pair[0], where), seconds(pair[1], where)
        if end < start:
            self.count("texts ended before they began: times exchanged", where)
            return end, start
        return start, end

    def text(self, value: Any, where: str) -> str:
        """A text with single blanks; "" for one that is empty and may be left out.

        Raises:
            AnnotationError: no text, or an empty one.
        """
        if not isinstance(value, str):
            raise AnnotationError(f"a text is {type(value).__name__}", where=where, remedy="mend the file")
        if kept := clean(value):
            return kept
        if not self._drop_empty:
            remedy = "fill it in, or pass --drop-empty to leave empty texts out"
            raise AnnotationError("a text is empty", where=where, remedy=remedy)
        self.count("empty texts: dropped", where)
        return ""
