"""A stream of one's own beside those of a dataset: how much moves in a video, and where.

    python examples/own_stream.py data/mine

Then `glrg train --data data/mine --out runs/b` trains with it, `--streams` chooses. docs/extending.md explains.
"""

from __future__ import annotations

import sys

import numpy as np

from glrg_tf.data.attach import attach_features
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.feature_store import FeatureStore, write_features
from glrg_tf.video.reader import iter_frames

CELLS = 4  # a side: the stream is CELLS * CELLS wide


def motion(path: str) -> np.ndarray:
    """Mean change between frames in each cell of the picture, float32 (16,), 0..1."""
    change, before, count = np.zeros((CELLS, CELLS)), None, 0
    for _, _, image in iter_frames(path, max_side=64):
        grey = image.mean(axis=2) / 255.0  # (H, W)
        grey = grey[: grey.shape[0] // CELLS * CELLS, : grey.shape[1] // CELLS * CELLS]
        if before is not None:
            parts = np.abs(grey - before).reshape(CELLS, grey.shape[0] // CELLS, CELLS, -1)
            change += parts.mean(axis=(1, 3))
            count += 1
        before = grey
    return (change / max(count, 1)).ravel().astype(np.float32)


def main(folder: str) -> None:
    """Adds the stream `motion` to the features of a dataset."""
    videos = {record.id: record.video for record in CaptionDataset.load(folder).records()}
    with FeatureStore(f"{folder}/features.h5") as store:
        streams = {name: store.read(store.ids, [name]) for name in store.streams}
        attributes, of_streams, ids = store.attributes, store.stream_attributes, store.ids
    streams["motion"] = np.stack([motion(videos[name]) for name in ids])
    write_features(f"{folder}/features.h5", ids, streams, attributes, of_streams)
    attach_features(folder)
    print(f"{folder}: {', '.join(f'{name} ({array.shape[1]})' for name, array in streams.items())}")


if __name__ == "__main__":
    main(sys.argv[1])
