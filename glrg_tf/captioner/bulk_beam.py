"""Bulk captioning on an engine that is there already: an Apache Beam pipeline over `bulk.py`'s function.

An element is a video, or a chunk of 128 rows of a feature file. Each worker loads the captioner (its encoders with it)
once, captions its elements and writes each one's rows as a file into a folder that the launcher sees too; finished
elements are not done again. The launcher reads the rows in the order of the inputs: those of the local path.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glrg_tf.captioner import bulk
from glrg_tf.captioner.bulk import Captioned, CaptionSettings
from glrg_tf.captioner.feature_input import FeatureInput
from glrg_tf.encoders.beam_engine import require_beam, run_pipeline, stamp, unfinished
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.io import atomic, documents

if TYPE_CHECKING:
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.presets import CaptionerConfig


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Rows of a feature file."""

    path: Path
    first: int
    last: int


Work = VideoItem | Chunk


class BeamCaptions:
    """Captions by a Beam pipeline.

    Args:
        captioner: who captions; with its encoders, where there are videos.
        settings: what is asked of it.
        options: of the pipeline, as on Beam's command line; none is the DirectRunner in this process.
        parts: folder that launcher and workers share; a copy of the captioner and results are kept in it.

    Raises:
        ConfigError: Beam is not installed.
    """

    def __init__(
        self,
        captioner: VideoCaptioner,
        settings: CaptionSettings,
        options: Sequence[str],
        parts: str | os.PathLike[str],
    ) -> None:
        require_beam()
        self._captioner, self._settings, self._options, self._parts = captioner, settings, list(options), Path(parts)

    def rows(self, work: Sequence[Work]) -> Iterator[list[Captioned]]:
        """The rows of every element, in order.

        Raises:
            ConfigError: the pipeline left results out.
        """
        from glrg_tf.captioner.captioner import VideoCaptioner

        folder = self._parts / "captioner"
        self._parts.mkdir(parents=True, exist_ok=True)
        self._captioner.save_to_preset(folder)
        digest = atomic.sha256_file(folder / "manifest.json")
        todo = [(self._part(digest, element), element) for element in work]
        task = functools.partial(caption_to_file, settings=self._settings)
        run_pipeline(self._options, todo, functools.partial(VideoCaptioner.from_preset, str(folder)), task)
        for part, _ in todo:
            if not Path(part).is_file():
                raise unfinished(part)
            yield [Captioned(row, message=message) for row, message in documents.read_json(part)]

    def _part(self, captioner: str, element: Work) -> str:
        """An element's file: named by all that its rows depend on."""
        about = [type(element).__name__, str(dataclasses.asdict(element)), *stamp(element.path)]
        name = hashlib.sha256(json.dumps([captioner, dataclasses.asdict(self._settings), about]).encode("utf-8"))
        return str(self._parts / f"{name.hexdigest()[:32]}.json")


def caption_to_file(captioner: VideoCaptioner, part: str, element: Work, *, settings: CaptionSettings) -> None:
    """The pure function of the pipeline: one element to one file of rows, whole or not at all."""
    if isinstance(element, Chunk):
        source = _opened(element.path, stamp(element.path), captioner.config)
        found = list(bulk.caption_chunk(captioner, source, element.first, element.last, settings))
    else:
        from glrg_tf.encoders.extract import encode_videos

        names = captioner.config.stream_names
        (outcome,) = encode_videos(captioner.encoders, [element], workers=0, streams=names)  # type: ignore[arg-type]
        found = [bulk.caption_outcome(captioner, outcome, settings)]
    atomic.write_json(part, [[captioned.row, captioned.message] for captioned in found])


@functools.lru_cache(maxsize=2)
def _opened(path: Path, written: tuple[int, int], config: CaptionerConfig) -> FeatureInput:
    """A feature file for all chunks that a worker gets of it: the release's are read whole on opening."""
    return FeatureInput(path, config)
