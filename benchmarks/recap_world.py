"""The long world as a dataset of three levels with features, without writing video: frames are drawn where wanted.

    python -m benchmarks.recap_world --work runs/recap-world --stories 320 --part 1/2
    python -m benchmarks.recap_world --work runs/recap-world --stories 320 --part 2/2

WORK/dense/<id>.npy holds float16 (clips, positions, D), the encoder's streams side by side; WORK/stories.jsonl (written
with the last part) the truth. About 45 ms a clip on one core. What exists is not drawn again.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np

from glrg_tf.data.world.script import FRAME_RATE
from glrg_tf.data.world.stories import BEAT_SECONDS, Story, draw_story
from glrg_tf.data.world.story_video import beat_frames, story_row
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.io import atomic
from glrg_tf.video.sampling import FramePlan

ENCODER = Path(__file__).resolve().parents[1] / "glrg_tf" / "presets" / "world-nano" / "encoder"
SECONDS, SEGMENT_SECONDS, POSITIONS = 96.0, 24.0, 2  # four segments of six clips
SEED = 11
_AT_ONCE = 40  # clips


def bundle() -> EncoderBundle:
    """The shipped encoders, looking at two positions of a clip of four seconds."""
    shipped = EncoderBundle.load(ENCODER)
    return EncoderBundle(FramePlan(positions=POSITIONS), shipped.streams, shipped.extra)


def story(index: int) -> Story:
    """Story `index` of the study."""
    return draw_story(SEED, index, SECONDS, SEGMENT_SECONDS)


def dense_features(encoders: EncoderBundle, told: Story) -> np.ndarray:
    """float16 (clips, positions, D) of a story."""
    frames = BEAT_SECONDS * FRAME_RATE
    wanted = encoders.plan.wanted(frames, encoders.plans)
    plans = {name: encoders.plan.frames_of(name, frames) for name in encoders.plans}
    beats = [(segment.act, beat) for segment in told.segments for beat in segment.beats]
    parts = []
    for start in range(0, len(beats), _AT_ONCE):
        clips = []
        for act, beat in beats[start : start + _AT_ONCE]:
            drawn = np.stack(list(beat_frames(told, act, beat, wanted.tolist())))
            clips.append({name: drawn[np.searchsorted(wanted, indices)] for name, indices in plans.items()})
        parts += [np.concatenate(list(streams.values()), axis=1) for streams in encoders.encode_batch(clips)]
    return np.stack(parts).astype(np.float16)


def main() -> None:
    """Makes the features of one part of the stories."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--stories", type=int, default=320)
    parser.add_argument("--test", type=int, default=60, help="the last of them")
    parser.add_argument("--part", default="1/1", help="K/N: every N-th story")
    args = parser.parse_args()
    part, parts = map(int, args.part.split("/"))
    (args.work / "dense").mkdir(parents=True, exist_ok=True)
    encoders, started = bundle(), time.monotonic()
    for index in range(part - 1, args.stories, parts):
        told = story(index)
        file = args.work / "dense" / f"{told.id}.npy"
        if not file.is_file():
            buffer = io.BytesIO()
            np.save(buffer, dense_features(encoders, told))
            atomic.write_bytes(file, buffer.getvalue())
        if index % 20 < parts:
            print(f"{told.id} {time.monotonic() - started:.0f} s", flush=True)
    rows = [story_row(story(i), "test" if i >= args.stories - args.test else "train") for i in range(args.stories)]
    atomic.write_text(args.work / "stories.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
