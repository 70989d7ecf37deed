"""`glrg extract --dry-run`: what would be extracted, how large it becomes, and how long that takes here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glrg_cli.common import Console
from glrg_cli.dry_run import about, megabytes
from glrg_tf.encoders.extract_items import VideoItem

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle

_TIMED = 4  # videos


def show(
    bundle: EncoderBundle,
    items: Sequence[VideoItem],
    output: Path,
    workers: int | None,
    per_position: bool,
    console: Console,
) -> None:
    """Extracts a few videos for their time, keeps nothing, and prints the plan."""
    from glrg_tf.data.feature_store import FeatureStore
    from glrg_tf.encoders.extract_journal import partial_folder

    there = 0
    if output.is_file():
        with FeatureStore(output) as store:
            there = sum(item.id in store for item in items)
    missing = [item for item in items if not item.path.exists()]
    count = len(items) - there
    width = sum(width for _, width in bundle.widths)
    size = 4.0 * width * count * (bundle.plan.positions if per_position else 1)
    seconds = count * _seconds_a_video(bundle, items[-_TIMED:], workers, console) if count else 0.0
    rows: list[tuple[str, object]] = [
        ("videos", len(items)),
        ("there already", there),
        ("no such file", len(missing)),
        ("to extract", count),
    ]
    rows += [("numbers a video", width), ("feature file grows by", megabytes(size)), ("takes about", about(seconds))]
    console.table(f"Plan for {output}", ("what", "how much"), [(name, str(value)) for name, value in rows])
    if partial_folder(output).exists():
        console.info("unfinished work of an earlier run is beside it: less is left to do")
    for item in missing[:3]:
        console.warning(f"{item.path}: no such file")
    console.info("nothing was written; times are of this machine as busy as it is now")
    console.result(
        {
            "out": str(output),
            "videos": len(items),
            "there": there,
            "missing": len(missing),
            "to_extract": count,
            "bytes": int(size),
            "seconds": round(seconds, 1),
        }
    )


def _seconds_a_video(
    bundle: EncoderBundle, sample: Sequence[VideoItem], workers: int | None, console: Console
) -> float:
    """Of decoding and encoding; the first video builds the networks and is not counted."""
    from glrg_tf.encoders.extract import encode_videos

    with console.progress(1 + len(sample), "timing a few videos", "videos") as bar:
        for _ in encode_videos(bundle, sample[:1], workers=0):
            bar.update(1)
        began = time.perf_counter()
        for _ in encode_videos(bundle, sample, workers=workers):
            bar.update(1)
        return (time.perf_counter() - began) / len(sample)
