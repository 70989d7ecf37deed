"""The text path on real data: steps of how-to videos in, their goal out (HiREST); first a step from the other steps.

    glrg data import hirest all_data_train.json all_data_val.json --out data/hirest
    glrg data import youcook2 annotations_trainval.json --out data/yc2
    python -m benchmarks.recap_texts --steps data/hirest data/yc2 --out data/steps
    glrg recap train --data data/steps --out runs/steps --levels video …            # 14 thousand steps teach the words
    glrg recap train --data data/hirest --start runs/steps --out runs/goals --levels video …

HiREST has 550 videos to learn from and asks for goals that none of them has: the words must come from elsewhere. The
data set made here has a record for every step of the training videos: the others are its texts of level "clip", the
step itself its text of level "video". The training videos' goals are among the records: so their words are known.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from glrg_tf.data.dataset import CaptionDataset, write_dataset
from glrg_tf.data.levels import LevelText, LevelTexts, record_of
from glrg_tf.data.record import VideoRecord


def main() -> None:
    """Writes the data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", required=True, help="data sets whose level 'clip' are steps")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="train", help="of these videos; of others than train one step each")
    args = parser.parse_args()
    records = [record for name in args.steps for record in left_out(CaptionDataset.load(name), args.split)]
    write_dataset(args.out, records, name="steps", source=list(args.steps))
    print(f"{args.out}: {len(records)} records")


def left_out(dataset: CaptionDataset, split: str) -> Iterator[VideoRecord]:
    """A record for every step of the videos, told by the others; and training videos with a goal as they are."""
    for record in dataset.records(split):
        texts = LevelTexts.from_json(record.levels, record.id)
        if texts.video and split == "train":
            yield record_of(f"{dataset.name}-{record.id}", split, texts)
        for number, step in enumerate(texts.clip if len(texts.clip) > 2 else ()):
            if split != "train" and number != len(texts.clip) // 2:
                continue
            others = tuple(text for text in texts.clip if text is not step)
            end = max(texts.duration or 0.0, *(text.end for text in texts.clip))
            whole = LevelText(0.0, end, step.captions)
            levels = dataclasses.replace(texts, clip=others, segment=(), video=(whole,), duration=end)
            yield record_of(f"{dataset.name}-{record.id}-{number}", split, levels)


if __name__ == "__main__":
    main()
