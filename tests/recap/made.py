"""A numbered video and a captioner that says which numbers it saw: every text shows where it comes from."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from glrg_tf.io.lock import only_one
from glrg_tf.recap.hierarchy import LEVELS, Hierarchy
from glrg_tf.recap.journal import FOLDER
from glrg_tf.recap.outputs import write_texts
from glrg_tf.recap.recursion import Recursion
from glrg_tf.recap.run_options import RunOptions, RunReport
from glrg_tf.video.sampling import FramePlan
from tests.video.made import make_video, number_of, numbered_frames

FRAMES, RATE = 201, 10  # 20.1 s: 20 clips of a second, the last one takes the rest; 4 segments of 5 s


def numbered_video(path: pathlib.Path, frames: int = FRAMES, **options: object) -> pathlib.Path:
    """A video of key frames every 13, so that most jumps land before what is wanted."""
    return make_video(path, numbered_frames(frames), rate=RATE, options={"g": "13", "bf": "2"}, **options)


class FakeModel:
    """A `RecapModel` of three levels.

    Args:
        levels: those it tells.
        name: part of its fingerprint.
        kill_at: sends itself SIGKILL at this call of any method that tells or looks, counted from 1.
    """

    hierarchy = Hierarchy(clip_seconds=1.0, segment_seconds=5.0)
    row_width = 2
    frame_plan = FramePlan(positions=2)
    plans = ("keyframe",)
    max_side = 96

    def __init__(self, levels: Sequence[str] = LEVELS, name: str = "fake", kill_at: int = 0) -> None:
        self.levels, self.fingerprint = tuple(levels), name
        self.asked: list[str] = []
        self._kill_at, self._calls = kill_at, 0

    def encode_clips(self, clips: Sequence[Mapping[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        self._call(f"encode {len(clips)}")
        dense = np.array([[[number_of(one[0]), 1] for one in clip["keyframe"]] for clip in clips], np.float32)
        return dense, dense.mean(axis=1)

    def caption_clips(self, dense: np.ndarray) -> list[str]:
        self._call(f"caption {len(dense)}")
        return ["saw " + " ".join(str(int(frame)) for frame in clip[:, 0]) for clip in dense]

    def describe(self, level: str, rows: Sequence[np.ndarray], texts: Sequence[Sequence[str]]) -> list[str]:
        self._call(f"describe {level}")
        told = zip(rows, texts, strict=True)
        return [f"{len(row)} rows about {row[:, 0].mean():.1f}: {' | '.join(below)}" for row, below in told]

    def _call(self, what: str) -> None:
        self.asked.append(what)
        self._calls += 1
        if self._calls == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def run(model: FakeModel, video: pathlib.Path, out: pathlib.Path, **options: object) -> RunReport:
    """One run with its files of texts."""
    with only_one(out / FOLDER), Recursion(model, video, out, "fake", RunOptions(**options)) as recursion:
        report = recursion.run()
        write_texts(report.recap, out)
    return report


def outputs(out: pathlib.Path) -> dict[str, bytes]:
    """All files of texts, and what the journal keeps of clips, byte for byte."""
    files = [file for file in sorted(out.iterdir()) if file.is_file()]
    files += [out / FOLDER / name for name in ("clips.jsonl", "rows.f32", "thumbs.bin")]
    return {file.name: file.read_bytes() for file in files}


if __name__ == "__main__":
    run(FakeModel(kill_at=int(sys.argv[3])), pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
