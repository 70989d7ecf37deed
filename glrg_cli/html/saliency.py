"""The panel of a page that shows where each word of a caption looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glrg_cli.html.markup import Html, tag
from glrg_cli.html.parts import folded
from glrg_cli.html.pictures import jpeg_uri

if TYPE_CHECKING:
    from pathlib import Path

    from glrg_tf.explain.video import Explanation

_SIDE = 240  # pixels of a picture's longer side


def saliency_panel(explanation: Explanation, video: Path, most: int = 8) -> Html | None:
    """The best frame of the words that some place speaks for most, in the order of the sentence; None without any.

    Args:
        explanation: of this video.
        video: the file.
        most: pictures shown.

    Raises:
        VideoError: the video cannot be read any more.
    """
    from glrg_tf.explain.overlay import stills

    gains = explanation.raw.max(axis=(0, 2, 3)) - explanation.raw.mean(axis=(0, 2, 3))
    gains = np.where(explanation.query.known, gains, -np.inf)
    shown = set(np.argsort(-gains)[:most].tolist())
    pictures = [
        tag("figure", tag("img", src=jpeg_uri(image), alt=f"Where “{word}” looked"), tag("figcaption", word))
        for number, image in stills(explanation, video, _SIDE)
        if number in shown and (word := explanation.words[number])
    ]
    return folded("where each word looked", tag("div", pictures, class_="film words")) if pictures else None
