"""Makes docs/images/readme.png: a clip that nobody trained on, what `world-nano` says of it, and where it looked.

glrg world --out data/world --clips 800
python docs/picture.py data/world world00059 yellow car grass sandy
"""

from __future__ import annotations

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from glrg_tf.explain.captioners import load_captioner
from glrg_tf.explain.overlay import stills
from glrg_tf.explain.video import Explainer, ExplainSettings
from glrg_tf.video.reader import read_frames
from glrg_tf.video.sampling import uniform_positions

OUT = pathlib.Path(__file__).parent / "images" / "readme.png"
COLUMNS = 4


def main(world: str, name: str, *words: str) -> None:
    """Writes the picture."""
    rows = [json.loads(line) for line in pathlib.Path(world, "captions.jsonl").read_text("utf-8").splitlines()]
    clip = next(row for row in rows if pathlib.Path(row["video"]).stem == name)
    if clip["split"] != "test":
        raise SystemExit(f"{name} was trained on: choose a clip of the test split")
    path = pathlib.Path(world, clip["video"])
    captioner = load_captioner("world-nano")
    explanation = Explainer(captioner).explain(path, settings=ExplainSettings(rate=6))
    said = list(explanation.query.words)
    frames = read_frames(path, lambda count: uniform_positions(count, COLUMNS))
    figure, axes = plt.subplots(2, COLUMNS, figsize=(9, 4.1), layout="constrained")
    for axis, image, seconds in zip(axes[0], frames.images, frames.timestamps, strict=True):
        axis.imshow(image)
        axis.set_title(f"{seconds:.1f} s", fontsize=9, color="gray")
    looked = {said[number]: image for number, image in stills(explanation, path)}
    for axis, word in zip(axes[1], words, strict=False):
        axis.imshow(looked[word])
        axis.set_title(f"“{word}”", fontsize=11)
    for axis in axes.ravel():
        axis.axis("off")
    figure.suptitle(" ".join(said), fontsize=12)
    figure.savefig(OUT, dpi=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
