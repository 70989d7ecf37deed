"""`glrg recap run --dry-run`: how many windows a video has, and how long their texts take here."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

from glrg_cli.common import Console
from glrg_cli.dry_run import about

if TYPE_CHECKING:
    from glrg_tf.recap.protocol import RecapModel
    from glrg_tf.video.source import Limits

_TIMED = 3  # clips, after the first, which also builds the networks


def show(model: RecapModel, video: Path, out: Path, limits: Limits, console: Console) -> None:
    """Captions a few clips for their time, keeps nothing, and prints the plan.

    Raises:
        VideoError: the video cannot be read.
    """
    from glrg_tf.recap import frames
    from glrg_tf.recap.hierarchy import SEGMENT, VIDEO
    from glrg_tf.recap.journal import FOLDER

    timeline = frames.look(video, model.hierarchy, limits)
    clips = len(timeline.windows)
    chapters = len(model.hierarchy.segment_windows(timeline.duration))
    stream = frames.clip_frames(
        timeline, model.frame_plan, model.plans, max_side=model.max_side, limits=limits, jump=True
    )
    moments = [time.perf_counter()]
    for clip in itertools.islice(stream, 1 + _TIMED):
        dense, _ = model.encode_clips([clip.clips])
        model.caption_clips(dense)
        moments.append(time.perf_counter())
    rest = len(moments) - 2
    first = moments[1] - moments[0]
    seconds = first + (clips - 1) * ((moments[-1] - moments[1]) / rest if rest > 0 else 0.0)
    told = "described" if SEGMENT in model.levels else "chapters, headed by their commonest caption"
    rows = [
        ("length", about(timeline.duration)),
        ("clips to caption", str(clips)),
        ("segments", f"{chapters}, {told}"),
        ("summary", "yes" if VIDEO in model.levels else "no: the captioner tells clips only"),
        ("takes about", about(seconds)),
    ]
    console.table(f"Plan for {out}", ("what", "how much"), rows)
    if (out / FOLDER).exists():
        console.info("an earlier run is there: what it has finished is not done again")
    console.info("nothing was written; times are of this machine as busy as it is now, segments and summary on top")
    console.result({"out": str(out), "clips": clips, "segments": chapters, "seconds": round(seconds, 1)})
