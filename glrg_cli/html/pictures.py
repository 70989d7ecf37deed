"""Pictures inside a page: frames as small JPEG data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glrg_cli.html.markup import Html, tag

if TYPE_CHECKING:
    import numpy as np


def jpeg_uri(image: np.ndarray, side: int = 240, quality: int = 72) -> str:
    """A picture as a `data:` URI.

    Args:
        image: uint8 (H, W, 3) RGB.
        side: pixels of the longer side; smaller pictures stay as they are.
        quality: of the JPEG, 1..95.
    """
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def film(images: Sequence[np.ndarray], description: str) -> Html:
    """Frames in order of time, wide ones two in a row, tall ones all in one; `description` is for those who cannot see.

    Args:
        images: uint8 (H, W, 3), all of one size.
        description: what the frames are of.
    """
    height, width = images[0].shape[:2]
    columns = len(images) if height > width else min(2, len(images))
    shape = f"aspect-ratio:{width}/{height}" if 0.4 < width / height < 2.5 else "aspect-ratio:1"
    names = [f"{description}, frame {number} of {len(images)}" for number in range(1, len(images) + 1)]
    pictures = [
        tag("img", src=jpeg_uri(image), alt=name, style=shape) for image, name in zip(images, names, strict=True)
    ]
    return tag("div", pictures, class_="film", style=f"grid-template-columns:repeat({columns},1fr)")
