"""How the training of Visual GloVe tells what it is doing, without TensorFlow."""

from __future__ import annotations


class GloveReporter:
    """Who is told; does nothing."""

    def stage(self, name: str, total: int | None, unit: str) -> None:
        """A stage of `total` units begins; the one before has ended."""

    def advance(self, count: int, **fields: object) -> None:
        """`count` more units are done."""

    def message(self, text: str) -> None:
        """A line for people."""
