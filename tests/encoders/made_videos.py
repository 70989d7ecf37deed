"""Small made videos, and a bundle of encoders that needs no TensorFlow: extraction is tested without either.

Run as a program it extracts and may kill itself on the way, for the tests of resuming:
    python made_videos.py FOLDER OUT KILL_AT_CALL
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys

import numpy as np

from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.video.sampling import FramePlan


def write_clips(folder: pathlib.Path, count: int) -> list[pathlib.Path]:
    """`count` clips of 12 frames, each of its own colour that brightens."""
    from glrg_tf.video.writer import write_video

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        frames = np.zeros((12, 32, 48, 3), np.uint8)
        frames[..., number % 3] = 40 + 10 * number
        frames += np.arange(0, 96, 8, dtype=np.uint8)[:, None, None, None]
        frames[:, 8:16, 8 + number : 16 + number] = 255
        paths.append(folder / f"clip{number:02d}.mp4")
        write_video(paths[-1], frames, 10)
    return paths


class FakeStream:
    """Mean and deviation of each colour: a "network" whose numbers are easily checked."""

    def __init__(self, spec: StreamSpec, bundle: FakeBundle) -> None:
        self.spec, self._bundle = spec, bundle

    def encode(self, clips: np.ndarray) -> np.ndarray:
        """float32 (N, k, h, w, 3) -> (N, 6)."""
        assert clips.dtype == np.float32 and clips.shape[1:] == (self.spec.frames, *self.spec.input_size, 3)
        self._bundle.called()
        parts = [clips.mean(axis=(1, 2, 3)), clips.std(axis=(1, 2, 3))]
        return (np.concatenate(parts, axis=1) / 255).astype(np.float32)


class FakeBundle:
    """What extraction uses of an EncoderBundle."""

    def __init__(self, name: str = "fake", kill_at: int = 0) -> None:
        self.plan = FramePlan(positions=3, short_frames=2)
        self.fingerprint = name
        self.calls, self._kill_at = 0, kill_at
        specs = (
            StreamSpec("long_range", "long_range", "long_range", 3, (16, 16), 6),
            StreamSpec("keyframe", "keyframe", "keyframe", 1, (24, 16), 6, tuple("abcdef"), fit="crop"),
        )
        self.streams = {spec.name: FakeStream(spec, self) for spec in specs}
        self.widths = tuple((spec.name, spec.width) for spec in specs)

    def called(self) -> None:
        """Counts the calls of all networks; ends this process as the system would, when it was asked to."""
        self.calls += 1
        if self.calls == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from glrg_tf.encoders.extract import list_videos
    from glrg_tf.encoders.extract_file import extract

    extract(FakeBundle(kill_at=int(sys.argv[3])), list_videos(sys.argv[1]), sys.argv[2], workers=1)
    assert "tensorflow" not in sys.modules
