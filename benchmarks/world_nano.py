"""Makes the shipped captioner `world-nano`: renders the sample world, trains its encoders and its captioner.

    python -m benchmarks.world_nano --work runs/world-nano

About twenty minutes on two quiet cores. Every step that has its output already is skipped, so an interrupted run goes
on. The result goes to glrg_tf/presets/world-nano/ with a model card that tells this command, its settings and its
scores on clips that no part of it was trained on. The dataset of the study of streams (docs/world.md) is left in WORK.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

from glrg_cli import main as cli
from glrg_cli.common import Console

ROOT = Path(__file__).resolve().parents[1]
PRESET = ROOT / "glrg_tf" / "presets" / "world-nano"
CLIPS, SEED = 800, 1
MEMORY = ("--set", "memory_mb=3000")
# Shares tell how many annotators saw a thing: one who mixes up dusk and dawn does not make it both.
ENCODERS: dict[str, tuple[str, ...]] = {
    "long-range": ("--epochs", "15", "--set", "targets=share"),
    "short-range": ("--epochs", "12"),
    "keyframe": ("--epochs", "40"),
}
METRICS = ("Bleu_1", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
LIMIT = 8 * 2**20  # bytes of the whole folder


def main() -> int:
    """Makes the preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/world-nano"), help="folder of the intermediate results")
    parser.add_argument("--only-data", action="store_true", help="stop when the dataset has its features")
    args = parser.parse_args()
    work: Path = args.work
    dataset = make_dataset(work)
    if args.only_data:
        return 0
    run = work / "run"
    if not (run / "scores.json").is_file():
        resume = ("--resume",) if (run / "config.json").is_file() else ()
        recipe = ("--recipe", "world", "--encoder", work / "encoder", "--seed", SEED)
        glrg("train", "--data", dataset, "--out", run, *(resume or recipe))
    evaluated = glrg("evaluate", run, "--data", dataset, "--split", "test")
    ship(run, work / "encoder", evaluated)
    return 0


def make_dataset(work: Path) -> Path:
    """The world, its encoders and a dataset with features; returns the dataset's folder."""
    world, dataset, encoder = work / "world", work / "dataset", work / "encoder"
    if not world.exists():
        glrg("world", "--out", world, "--clips", CLIPS, "--seed", SEED)
    if not dataset.exists():
        glrg("data", "import", "table", world / "captions.jsonl", "--out", dataset)
    for kind, settings in ENCODERS.items():
        run = work / kind
        if not (run / "report.json").is_file():
            taught = ("--data", dataset) if kind == "long-range" else ("--labels", world)
            resume = ("--resume",) if (run / "config.json").is_file() else (*taught, *MEMORY, *settings)
            glrg("train-encoder", kind, *resume, "--out", run, *(() if "--resume" in resume else ("--seed", SEED)))
    if not encoder.exists():
        glrg("train-encoder", "bundle", *(work / kind for kind in ENCODERS), "--out", encoder)
    if not (dataset / "features.h5").is_file():
        glrg("extract", dataset, "--encoder", encoder, "--out", dataset / "features.h5")
    return dataset


def ship(run: Path, encoder: Path, evaluated: dict[str, Any]) -> None:
    """Writes the preset's folder."""
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.encoders.bundle import EncoderBundle

    captioner, bundle = VideoCaptioner.from_preset(run), EncoderBundle.load(encoder)
    captioner.save_to_preset(PRESET, card=card(captioner, bundle, evaluated))
    size = sum(path.stat().st_size for path in PRESET.rglob("*") if path.is_file())
    if size > LIMIT:
        sys.exit(f"the preset takes {size / 2**20:.1f} MiB, more than {LIMIT / 2**20:.0f}")
    print(f"{PRESET}: {size / 2**20:.2f} MiB")


def card(captioner: Any, bundle: Any, evaluated: dict[str, Any]) -> str:
    """The model card."""
    sizes = captioner.config
    streams = ", ".join(f"{name} ({width})" for name, width in sizes.streams)
    scores = " | ".join(f"{100 * evaluated['scores'][m]:.1f}" for m in METRICS)
    low, high = (100 * bound for bound in evaluated["intervals"]["CIDEr"])
    return f"""# world-nano

A small GL-RG captioner for the sample world (docs/world.md), with its encoders: `glrg caption world-nano clip.mp4`.

- **Reads** videos; its encoders make {streams} of each.
- **Says** sentences of {sizes.vocabulary_size} words.
- **Trained** on {CLIPS * 7 // 10} rendered clips with 12 captions each, by DXE and then DR (recipe `world`).
- **Made by** `python -m benchmarks.world_nano` (seed {SEED}); encoder {bundle.fingerprint[:12]}.
- **Licence** of the data: rendered by this project, as free as its code.

Scores in per cent (beam 5) on {len(evaluated["predictions"])} clips that no part of it was trained on:

| {" | ".join(METRICS)} |
|{"---|" * len(METRICS)}
| {scores} |

95 % interval of CIDEr over the clips: {low:.1f} to {high:.1f}.

It knows eight shapes, five things, six colours and six places, all drawn by us. Real videos are described in these
words, as if they were of that world: it shows that the path from a file to a sentence works, no more.
"""


def glrg(*words: object) -> Any:
    """Runs a command; returns its JSON document."""
    line = [str(word) for word in words]
    print("$ glrg " + " ".join(line), flush=True)
    output = io.StringIO()
    code = cli.run_command(line[0], [*line[1:], "--json"], Console(json_output=True, output=output))
    if code:
        sys.exit(f"`glrg {line[0]}` ended with exit code {code}")
    return json.loads(output.getvalue())


if __name__ == "__main__":
    sys.exit(main())
