"""What an explanation costs: time beside extraction, and memory by the length of the video.

    python -m benchmarks.explain world-nano --seconds 10 60 600

Videos of 320x240, 25 frames a second, are made from moving noise. Time is the middle of `--repeats` runs in one
process; memory is the highest resident set of a process of its own for each length.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

RATE, HEIGHT, WIDTH = 25, 240, 320


def main() -> int:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captioner", nargs="?", default="world-nano")
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60, 600])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one is not None:
        print(json.dumps(measure(args.captioner, args.one, args.repeats)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for seconds in args.seconds:
            video = Path(folder) / f"{seconds}.mp4"
            make_video(video, seconds)
            command = [sys.executable, "-m", "benchmarks.explain", args.captioner, "--one", str(video)]
            command += ["--repeats", str(args.repeats if seconds <= 10 else 1)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(seconds, done.stdout.strip().splitlines()[-1], flush=True)
    return 0


def measure(name: str, video: Path, repeats: int) -> dict[str, float]:
    """Seconds of extraction, of the whole explanation and of the part beyond extraction; memory in MiB."""
    from glrg_tf.encoders.extract import encode_videos
    from glrg_tf.encoders.extract_items import VideoItem
    from glrg_tf.explain.captioners import load_captioner
    from glrg_tf.explain.video import Explainer, ExplainSettings

    captioner = load_captioner(name)
    explainer, settings = Explainer(captioner), ExplainSettings(isolated=False)
    names = captioner.config.stream_names

    def extract() -> None:
        items = [VideoItem("video", video)]
        list(encode_videos(explainer.bundle, items, workers=0, isolated=False, streams=names))

    explainer.explain(video, settings=settings)  # traces
    extraction, whole = [], []
    for _ in range(repeats):
        for kept, work in ((extraction, extract), (whole, lambda: explainer.explain(video, settings=settings))):
            begun = time.process_time()
            work()
            kept.append(time.process_time() - begun)
    features, total = statistics.median(extraction), statistics.median(whole)
    return {
        "extract_cpu_s": round(features, 3),
        "explain_cpu_s": round(total, 3),
        "beyond_extraction": round((total - features) / features, 3),
        "ratio": round(total / features, 3),
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def make_video(path: Path, seconds: int) -> None:
    """Writes smooth noise that drifts."""
    from glrg_tf.encoders.resize import resize_frames_numpy
    from glrg_tf.video.writer import write_video

    coarse = np.random.default_rng(0).uniform(0, 255, (24, 32, 3)).astype(np.float32)
    picture = resize_frames_numpy(coarse, (HEIGHT, WIDTH)).astype(np.uint8)

    def frames() -> Iterator[np.ndarray]:
        for number in range(seconds * RATE):
            yield np.roll(picture, 2 * number, axis=1)

    write_video(path, frames(), RATE)


if __name__ == "__main__":
    sys.exit(main())
