"""What the encoders saw in a video, for people: the words of each stream that stand out, with bars."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from glrg_tf.encoders.bundle import EncoderBundle

TOP = 5  # words of a stream
_BAR = 20  # columns of a full bar
_PARTS = " ▏▎▍▌▋▊▉█"

Words = list[tuple[str, float]]


class Labels:
    """The words of every stream's columns.

    Args:
        streams: name and width of each stream, in column order.
        bundle: encoders that know their labels; None where there are none.
    """

    def __init__(self, streams: Sequence[tuple[str, int]], bundle: EncoderBundle | None = None) -> None:
        self._streams = tuple(streams)
        self._words: dict[str, tuple[str, ...]] = {}
        for name, stream in bundle.streams.items() if bundle is not None else ():
            self._words[name] = stream.spec.labels

    def add(self, found: Mapping[str, str]) -> None:
        """Takes the labels of a feature file, JSON lists by stream, where none are known."""
        for name, text in found.items():
            if text and not self._words.get(name):
                try:
                    words = json.loads(text)
                except ValueError:
                    continue
                if isinstance(words, list):
                    self._words[name] = tuple(map(str, words))

    def top(self, features: np.ndarray, count: int = TOP) -> dict[str, Words]:
        """The strongest columns of each stream of one row of features (D,), with their values."""
        found: dict[str, Words] = {}
        start = 0
        for name, width in self._streams:
            values = features[start : start + width]
            start += width
            words = self._words.get(name, ())
            strongest = values.argsort(kind="stable")[::-1][:count]
            known = len(words) == width
            found[name] = [(words[i] if known else f"#{i}", float(values[i])) for i in strongest]
        return found


def lines(found: Mapping[str, Words], indent: str = "    ") -> list[str]:
    """The words as lines of text, a bar each."""
    width = max((len(word) for words in found.values() for word, _ in words), default=0)
    label = max(map(len, found), default=0)
    rows = []
    for name, words in found.items():
        for rank, (word, value) in enumerate(words):
            head = name if rank == 0 else ""
            rows.append(f"{indent}{head:{label}s}  {word[:40]:{min(width, 40)}s}  {bar(value)} {value:.2f}")
    return rows


def bar(value: float) -> str:
    """A bar of 20 columns for a value of 0..1."""
    eighths = round(8 * _BAR * min(max(value, 0.0), 1.0))
    text = "█" * (eighths // 8) + (_PARTS[eighths % 8] if eighths % 8 else "")
    return text.ljust(_BAR)


def as_json(found: Mapping[str, Words]) -> dict[str, list[dict[str, Any]]]:
    """The words for `--json`."""
    return {name: [{"word": word, "value": value} for word, value in words] for name, words in found.items()}
