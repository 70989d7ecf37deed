"""Captions from features with ONNX Runtime: no TensorFlow, no glrg_tf.

    pip install onnxruntime numpy
    glrg export runs/a --format onnx --out exported
    python caption.py exported/captioner.onnx features.npy --n 3

The features, float32 (N, D), one row a video, are a .npy file or a .json file with a list of lists.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

import numpy as np
import onnxruntime


def read_words(model: pathlib.Path) -> list[str]:
    """The words behind the ids, from `vocabulary.json` beside the model."""
    return json.loads((model.parent / "vocabulary.json").read_text("utf-8"))["words"]


def to_text(token_ids: np.ndarray, words: list[str]) -> str:
    """Words up to the first <end> (id 0), joined by blanks."""
    length = int(np.argmin(token_ids != 0)) if (token_ids == 0).any() else len(token_ids)
    return " ".join(words[i] for i in token_ids[:length])


def main() -> None:
    """Prints the `n` best captions of every video with their log-probabilities."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("features", type=pathlib.Path)
    parser.add_argument("--n", type=int, default=1)
    args = parser.parse_args()
    is_json = args.features.suffix == ".json"
    features = json.loads(args.features.read_text()) if is_json else np.load(args.features)
    session = onnxruntime.InferenceSession(args.model, providers=["CPUExecutionProvider"])
    inputs = {"features": np.asarray(features, np.float32)}
    token_ids, scores = session.run(["token_ids", "scores"], inputs)  # (N, K, T) int32, (N, K)
    words = read_words(args.model)
    for video, (rows, row_scores) in enumerate(zip(token_ids, scores, strict=True)):
        for ids, score in list(zip(rows, row_scores, strict=True))[: args.n]:
            sys.stdout.write(f"{video}\t{score:.3f}\t{to_text(ids, words)}\n")


if __name__ == "__main__":
    main()
