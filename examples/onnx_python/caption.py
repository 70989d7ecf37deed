"""Captions features with ONNX Runtime: no TensorFlow, no glrg_tf.

pip install onnxruntime numpy h5py
glrg export runs/a --format onnx --out exported/a
python caption.py exported/a features.npy        (N, D) float32, or a features.h5 of `glrg extract`
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime


def read_features(path: str, streams: list) -> tuple[list[str], np.ndarray]:
    """Names and features (N, D) of a .npy file, a features.h5 or a release file (`feats`)."""
    if path.endswith(".npy"):
        values = np.load(path)
        return [str(row) for row in range(len(values))], values
    import h5py

    with h5py.File(path) as file:
        if "feats" in file:
            values = file["feats"][:]
            names = file["video_ids"].asstr()[:] if "video_ids" in file else range(len(values))
            return [str(name) for name in names], values
        parts = [file[f"streams/{name}/values"][:] for name, _ in streams]  # pooled: one row a video
        return list(file["ids"].asstr()[:]), np.concatenate(parts, axis=1)


def main(folder: str, path: str) -> None:
    """Prints the best caption of every video, with its score."""
    export = pathlib.Path(folder)
    manifest = json.loads((export / "manifest.json").read_text("utf-8"))
    words = json.loads((export / "vocabulary.json").read_text("utf-8"))["words"]
    session = onnxruntime.InferenceSession(export / "captioner.onnx", providers=["CPUExecutionProvider"])
    names, features = read_features(path, manifest["model"]["streams"])
    for start in range(0, len(features), 32):
        batch = np.ascontiguousarray(features[start : start + 32], np.float32)
        token_ids, scores = session.run(["token_ids", "scores"], {"features": batch})  # (B, K, T), (B, K), best first
        for row, ids in enumerate(token_ids[:, 0]):
            caption = " ".join(words[i] for i in ids if i > 1)  # 0 <end> and after it, 1 <start>
            print(f"{names[start + row]}\t{scores[row, 0]:.3f}\t{caption}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
