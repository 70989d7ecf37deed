"""Small pictures of clips, for people."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

SIDE = 128  # pixels of the longer side
QUALITY = 60  # of the JPEG: about 2 KB, so that an hour of clips makes a page of 2-3 MB


def jpeg(picture: NDArray[np.uint8], side: int = SIDE, quality: int = QUALITY) -> bytes:
    """A picture uint8 (H, W, 3) as a JPEG of at most `side` pixels; the same bytes for the same picture."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
