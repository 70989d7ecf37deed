"""Where each word of a caption looked, as small pictures for the answer of `/v1/caption`.

Done when asked for: it decodes the video again, in a limited child process as every file of a stranger.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.explain.overlay import stills
from glrg_tf.explain.video import Explainer, ExplainSettings

if TYPE_CHECKING:
    from glrg_tf.explain.captioners import Captioner
    from glrg_tf.video.reader import Limits

_FRAMES = 48  # most frames of a video that are looked at
_SIDE = 480  # pixels of a picture's longer side


class SaliencyPictures:
    """Draws the words of captions.

    Args:
        captioner: with encoders, one of which has a map.
        limits: what one file may cost.

    Raises:
        ConfigError: no encoder has a map.
    """

    def __init__(self, captioner: Captioner, limits: Limits) -> None:
        self._explainer = Explainer(captioner, limits)
        _ = self._explainer.network  # a captioner without a map is refused here, not at the first request
        self._settings = ExplainSettings(max_frames=_FRAMES, concepts=False)

    def draw(self, path: Path, sentence: str) -> list[dict[str, Any]]:
        """The best frame of every word with its map: `word`, `image` (a `data:` URI) and `second`.

        Raises:
            VideoError: the file cannot be decoded.
        """
        try:
            explanation = self._explainer.explain(path, sentence, self._settings)
        except ConfigError:  # a caption without words, or of words that no map can be made for
            return []
        return [
            {
                "word": explanation.words[word],
                "image": _data_uri(image),
                "second": round(float(explanation.seconds[explanation.best_frame(word)]), 2),
            }
            for word, image in stills(explanation, path, _SIDE, self._explainer.limits)
        ]


def _data_uri(image: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
