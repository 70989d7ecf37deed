"""What the stream `semantic` is worth: XE, DXE and DR with and without it, the same settings, order and seeds.

    glrg glove train data/world/clips.h5 --out runs/glove --words 100
    glrg glove embed runs/glove --features data/world/features.h5 --out data/world/features.h5
    python -m benchmarks.semantic_stream --data data/world --out runs/semantic --recipe world

Prints a table of CIDEr (and the other metrics with --json). A training that is finished is not done again. With
`--streams long_range` the captioner reads that stream only, without and with `semantic`: what the embedding is worth
where it is not made of what the captioner reads already.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from glrg_cli.common import Console
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import ConfigError
from glrg_tf.io import atomic, documents

STREAM = "semantic"
PHASES = ("xe", "dxe", "dr")
METRICS = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset whose features have the stream")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; goes on with what is there")
    parser.add_argument("--recipe", default="world")
    parser.add_argument("--phases", default=",".join(PHASES))
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--streams", help="the captioner's other streams (default: all)")
    parser.add_argument("--split", default="test")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    console = Console(json_output=options.json)
    data = CaptionDataset.load(options.data)
    widths = data.features.streams if data.features is not None else {}
    if STREAM not in widths:
        raise ConfigError(f"the features have no stream '{STREAM}'", where=options.data, remedy="`glrg glove embed`")
    others = options.streams.split(",") if options.streams else [name for name in widths if name != STREAM]
    without = {name: widths[name] for name in others}
    rows = [
        run(options, data, seed, streams, console)
        for seed in map(int, options.seeds.split(","))
        for streams in (without, {**without, STREAM: widths[STREAM]})
    ]
    show(rows, options.phases.split(","), options.split, console)
    console.result(rows)


def run(
    options: argparse.Namespace, data: CaptionDataset, seed: int, streams: dict[str, int], console: Console
) -> dict[str, Any]:
    """One training of all phases, scored after each; read from its file where it is done already."""
    name = f"{'with' if STREAM in streams else 'without'}-seed{seed}"
    file = options.out / f"{name}.json"
    if file.is_file():
        return documents.read_json(file)
    from glrg_tf.captioner.captioner import VideoCaptioner
    from training import config as training_config
    from training import curriculum
    from training.evaluator import evaluate_captioner
    from training.recipes import get_recipe

    scratch = options.out / name
    shutil.rmtree(scratch, ignore_errors=True)
    config = training_config.override(get_recipe(options.recipe).config, options.set)
    model = dataclasses.replace(config.model, streams=tuple(streams.items()))
    config = dataclasses.replace(config, model=model)
    phases = tuple(options.phases.split(","))
    best = curriculum.train(curriculum.make_plan(data.folder, scratch, config, phases, seed=seed))
    row: dict[str, Any] = {"streams": list(streams), "seed": seed, "scores": {}}
    for phase, folder in best.items():
        scores = evaluate_captioner(VideoCaptioner.from_preset(folder), data, options.split).scores.overall
        row["scores"][phase] = {metric: float(scores[metric]) for metric in METRICS}
    told = ", ".join(f"{phase} {100 * scores['CIDEr']:.1f}" for phase, scores in row["scores"].items())
    console.info(f"{name}: CIDEr {told}")
    atomic.write_json(file, row)
    shutil.rmtree(scratch)
    return row


def show(rows: list[dict[str, Any]], phases: list[str], split: str, console: Console) -> None:
    """The table: means over seeds with their deviation, and the mean difference of trainings of one seed."""
    cells = []
    for phase in phases:
        ciders = {
            kind: np.array([row["scores"][phase]["CIDEr"] for row in rows if (STREAM in row["streams"]) == kind])
            for kind in (False, True)
        }
        spread = {kind: values.std(ddof=1) if len(values) > 1 else 0.0 for kind, values in ciders.items()}
        gains = ciders[True] - ciders[False]
        cells.append(
            [
                phase.upper(),
                *(f"{100 * ciders[kind].mean():.1f} ± {100 * spread[kind]:.1f}" for kind in (False, True)),
                f"{100 * gains.mean():+.1f}",
                " ".join(f"{100 * gain:+.1f}" for gain in gains),
            ]
        )
    title = f"CIDEr on {split}, {len(rows) // 2} seeds"
    console.table(title, ("", "without", "with semantic", "difference", "by seed"), cells)


if __name__ == "__main__":
    main()
