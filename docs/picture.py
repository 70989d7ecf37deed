"""Makes docs/images/readme.png: a clip that nobody trained on, what `world-nano` says of it, and where it looked.

glrg world --out data/world --clips 800
python docs/picture.py data/world world00059 yellow house grass sandy
"""

from __future__ import annotations

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from glrg_tf.explain.captioners import load_captioner
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
    for axis, word in zip(axes[1], words, strict=False):
        maps = explanation.maps[:, said.index(word)]  # (frames, rows, columns), 0..1
        best = int(np.argmax(explanation.raw[:, said.index(word)].reshape(len(maps), -1).max(axis=1)))
        shown = read_frames(path, lambda count, at=int(explanation.frames[best]): np.array([at])).images[0]
        height, width = shown.shape[:2]
        axis.imshow(shown)
        axis.imshow(
            maps[best], cmap="turbo", alpha=0.55, vmin=0, vmax=1, extent=(0, width, height, 0), interpolation="bilinear"
        )
        axis.set_title(f"“{word}”", fontsize=11)
    for axis in axes.ravel():
        axis.axis("off")
    figure.suptitle(" ".join(said), fontsize=12)
    figure.savefig(OUT, dpi=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
