"""A video on the page of `glrg report clips`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from glrg_cli import vocabularies
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.errors import VideoError

if TYPE_CHECKING:
    from glrg_cli.html.markup import Html
    from glrg_tf.captioner.captioner import Caption
    from glrg_tf.video.reader import Frames


@dataclasses.dataclass
class Clip:
    """One video of the page.

    Attributes:
        item: which one.
        captions: best first; none where it could not be read.
        references: what people wrote.
        words: by stream, the words that stand out.
        frames: a few frames with the facts of the file; None where they could not be read.
        counts: frames expected, decoded and used by the encoders.
        warnings: what the user should know of the file.
        error: why it could not be read.
        saliency: where the words of its best caption looked, where that was asked for.
    """

    item: VideoItem
    captions: list[Caption] = dataclasses.field(default_factory=list)
    references: list[str] = dataclasses.field(default_factory=list)
    words: dict[str, vocabularies.Words] = dataclasses.field(default_factory=dict)
    frames: Frames | None = None
    counts: tuple[int, int, int] = (0, 0, 0)
    warnings: tuple[str, ...] = ()
    error: VideoError | None = None
    saliency: Html | None = None
