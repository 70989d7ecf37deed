"""What recursion gives on the long world: features and lower texts, features alone, texts alone; separate and unified.

    python -m benchmarks.recap_world --work runs/recap-world
    python -m benchmarks.recap_study --work runs/recap-world                 # what is missing, job by job
    python -m benchmarks.recap_study --work runs/recap-world --job both-1    # one job: SETTING-SEED
    python -m benchmarks.recap_study --work runs/recap-world --table         # what there is

Settings, each with the seeds: `clips` trains level 1, which `both`, `video` and `text` take over as it is; they train
segments and summaries that read features and texts, features alone, texts alone. `unified` trains one network on all
three levels. `more` trains the summaries of `both` once more, from 3,000 further stories besides, told as texts alone:
no pictures are drawn for them. All are scored on the same held-out stories. A job that is there is not done again; a
training that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.io import atomic, documents

SETTINGS = ("clips", "both", "video", "text", "unified", "more")
SEEDS = (1, 2, 3)
METRICS = ("CIDEr", "ROUGE_L", "METEOR")
STEPS = (600, 400, 1500)  # of the stages clips, segments, summaries
WIDTH = 64
HIGHER = ("segment", "video")
MORE = 3000  # stories told as texts alone


def main() -> None:
    """Runs a job, all missing ones, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of benchmarks.recap_world")
    parser.add_argument("--study", default="study", help="name of the study's folder in it")
    parser.add_argument("--job", help="SETTING-SEED")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--rows", default="", help="streams that rows are made of (default: all)")
    parser.add_argument("--reader", choices=("words", "queries"), default="words", help="how lower texts are read")
    parser.add_argument("--steps", type=int, nargs=3, default=STEPS)
    args = parser.parse_args()
    streams = tuple(name for name in args.rows.split(",") if name)
    study = Study(args.work, args.work / args.study, streams, tuple(args.steps), args.reader)
    jobs = [args.job] if args.job else [f"{setting}-{seed}" for seed in SEEDS for setting in SETTINGS]
    for job in [] if args.table else jobs:
        setting, _, seed = job.partition("-")
        if setting not in SETTINGS or not seed.isdecimal():
            sys.exit(f"no job '{job}': one of {', '.join(SETTINGS)}, a minus, a seed")
        study.run(setting, int(seed))
    study.table()


@dataclasses.dataclass(frozen=True)
class Study:
    """The study's folders and settings."""

    work: Path
    folder: Path
    row_streams: tuple[str, ...]
    steps: tuple[int, ...]
    reader: str

    def run(self, setting: str, seed: int) -> None:
        """Trains and scores one setting, unless that has been done."""
        result = self.folder / f"{setting}-{seed}.json"
        if result.is_file():
            return
        if setting not in ("clips", "unified"):
            self.run("both" if setting == "more" else "clips", seed)
        started, used = time.monotonic(), time.process_time()
        captioner = self._train(setting, seed)
        found = self._score(captioner, setting)
        sizes = {name: network.count() for name, network in captioner.named_networks.items()}
        about = {"parameters": sizes, "seconds": time.monotonic() - started, "cpu_s": time.process_time() - used}
        atomic.write_json(result, found | about)
        print(job_line(setting, seed, found | about), flush=True)

    def _train(self, setting: str, seed: int) -> Any:
        from benchmarks.recap_world import SEGMENT_SECONDS, bundle
        from glrg_tf.recap.captioner import RecapCaptioner
        from glrg_tf.recap.hierarchy import LEVELS, Hierarchy
        from glrg_tf.recap.settings import NANO
        from training.recap import RecapParts, train_recap
        from training.recap_config import RecapTraining

        run = self.folder / f"{setting}-{seed}"
        model = dataclasses.replace(NANO, width=WIDTH, max_words=(20, 32, 56), text_reader=self.reader)
        if setting in ("video", "text"):
            model = dataclasses.replace(model, inputs=setting)
        chosen = RecapTraining(
            levels={"clips": ("clip",), "unified": LEVELS, "more": ("video",)}.get(setting, HIGHER),
            unified=setting == "unified",
            hierarchy=Hierarchy(4.0, SEGMENT_SECONDS),
            model=model,
            steps=self.steps,  # type: ignore[arg-type]
            row_streams=self.row_streams,
            checkpoint_steps=250,
            texts_too=setting == "more",
            seed=seed,
        )
        start = None
        if setting not in ("clips", "unified"):
            start = RecapCaptioner.load(self.folder / f"{'both' if setting == 'more' else 'clips'}-{seed}")
            shared = self.folder / f"clips-{seed}" / "of-all.jsonl"  # what the one level 1 wrote: once for all settings
            file = run / "predictions" / "start" / "clip.jsonl"
            if not shared.is_file():
                self._write_clips(start, shared)
            if not (run / "config.json").is_file():
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(shared, file)
        parts = RecapParts(encoder=bundle() if start is None else None, start=start)
        return train_recap(self._dataset(setting == "more"), run, chosen, self._features(), parts, resume=True)

    def _write_clips(self, captioner: Any, file: Path) -> None:
        from training.recap_writing import write_level, write_predictions

        write_predictions(file, write_level(captioner, "clip", self._videos(captioner), {}))

    def _score(self, captioner: Any, setting: str) -> dict[str, Any]:
        from training.recap_evaluator import evaluate_recap

        found = evaluate_recap(captioner, self._videos(captioner, ("test",)))
        scores = {one.level: one.scores for one in found}
        samples = {one.level: [[text, e.references[0]] for e, text in one.written[:12]] for one in found}
        return {"scores": scores, "samples": samples}

    def _videos(self, captioner: Any, splits: tuple[str, ...] = ()) -> Any:
        from training.recap_data import FeatureFolder, load_videos

        features = FeatureFolder(self._features(), self.row_streams)
        return load_videos(self._dataset(), captioner.hierarchy, features, splits)

    def _features(self) -> Path:
        from benchmarks.recap_world import bundle

        if not (self.work / "features.json").is_file():
            encoders = bundle()
            about = {"streams": encoders.widths, "encoder": encoders.fingerprint}
            atomic.write_json(self.work / "features.json", about)
        return self.work

    def _dataset(self, more: bool = False) -> Any:
        from glrg_tf.data.dataset import CaptionDataset
        from glrg_tf.data.importers import import_dataset

        if not (self.work / "data").exists():
            import_dataset("stories", [self.work / "stories.jsonl"], self.work / "data")
        if more and not (self.work / "more").exists():
            self._tell_more(CaptionDataset.load(self.work / "data"))
        return CaptionDataset.load(self.work / ("more" if more else "data"))

    def _tell_more(self, drawn: Any) -> None:
        from benchmarks.recap_world import story
        from glrg_tf.data.dataset import write_dataset
        from glrg_tf.data.importers.stories import story_record
        from glrg_tf.data.world.story_video import story_row

        first = len(drawn.records())
        told = [
            story_record(_reworded(story_row(story(first + number)), number), str(number)) for number in range(MORE)
        ]
        write_dataset(self.work / "more", [*drawn.records(), *told], name="more", source=[str(self.work)])

    def table(self) -> None:
        """Prints what there is: mean and standard deviation over the seeds, in per cent."""
        found: dict[str, list[dict[str, Any]]] = {}
        for setting in SETTINGS:
            files = sorted(self.folder.glob(f"{setting}-[0-9]*.json"))
            found[setting] = [documents.read_json(file) for file in files]
        print("| setting | seeds | level | " + " | ".join(METRICS) + " | parameters |\n|---|---|---|" + "---|" * 4)
        for setting, rows in found.items():
            for level in ("clip", "segment", "video"):
                scores = [row["scores"][level] for row in rows if level in row["scores"]]
                if scores and (level == "clip") == (setting == "clips") or (scores and setting == "unified"):
                    size = round(np.mean([sum(row["parameters"].values()) for row in rows]))
                    cells = " | ".join(cell([s[metric] for s in scores]) for metric in METRICS)
                    print(f"| {setting} | {len(scores)} | {level} | {cells} | {size:,} |")
        self._ratios(found)

    def _ratios(self, found: dict[str, list[dict[str, Any]]]) -> None:
        for level in HIGHER:
            both = [row["scores"][level]["CIDEr"] for row in found["both"]]
            for other in ("video", "text", "unified", "more"):
                scores = [row["scores"][level]["CIDEr"] for row in found[other]]
                ratios = [a / b for a, b in zip(both, scores, strict=False) if b > 0]
                if ratios:
                    mean = np.mean(both[: len(ratios)]) / np.mean(scores[: len(ratios)])
                    print(f"{level} CIDEr, both / {other}: {mean:.2f} ({', '.join(f'{r:.2f}' for r in ratios)})")


def _reworded(row: dict[str, Any], number: int) -> dict[str, Any]:
    """A story whose segments' first wording, which summaries are learned from, is any of the wordings."""
    rng = np.random.default_rng([number, 3])
    segments = [one | {"descriptions": rng.permutation(one["descriptions"]).tolist()} for one in row["segments"]]
    return row | {"segments": segments}


def cell(values: list[float]) -> str:
    """Mean ± deviation, in per cent."""
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


def job_line(setting: str, seed: int, found: dict[str, Any]) -> str:
    """What is told of a finished job."""
    scores = {level: round(100 * values["CIDEr"], 1) for level, values in found["scores"].items()}
    return f"{setting}-{seed}: {json.dumps(scores)} in {found['seconds']:.0f} s ({found['cpu_s']:.0f} s of CPU)"


if __name__ == "__main__":
    main()
