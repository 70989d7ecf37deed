"""Compares the saliency signatures with `VideoCaptioner.score` of the same sentences on the same items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export import frames_parity
from export.parity import Agreement, Reference, apart, run_whole
from export.runners import Run
from glrg_tf.captioner.captioner import Caption, VideoCaptioner
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.resize import resize_frames_numpy
from glrg_tf.errors import ExportError

# A word that an item makes impossible: its log-probability is a difference of large logits, not of tolerance 1e-5.
TOLERANCE = 5e-5
_VIDEOS = 16
_FRAMES = slice(0, 2)  # of the probes that are frames: cells are many


def check_items(name: str, run: Run, reference: Reference) -> Agreement:
    """Compares `explain`: two items a video, its best caption as the sentence.

    Raises:
        ExportError: log-probabilities differ.
    """
    rows = [row for row, found in enumerate(reference.captions) if found][:_VIDEOS]
    features = reference.probes.features
    items = np.stack([features[rows], features[np.roll(rows, 1)]], axis=1)  # (B, 2, D)
    token_ids = _padded([reference.captions[row][0] for row in rows])
    found = run_whole(run, {"features": items, "token_ids": token_ids})["log_probs"]
    expected = [reference.captioner.score(items[:, item], token_ids) for item in range(2)]
    return _agreement(name, found, np.stack(expected, axis=1), TOLERANCE)


def check_frames(name: str, run: Run, captioner: VideoCaptioner, bundle: EncoderBundle) -> Agreement:
    """Compares `explain_frames`: every cell of every key frame, the best caption as the sentence.

    Raises:
        ExportError: log-probabilities differ.
    """
    found = []
    for frames in frames_parity.probe_frames()[_FRAMES]:
        features = frames_parity.encode(captioner, bundle, frames)
        token_ids = _padded([best[0] for best in captioner.generate(features)])
        outputs = run_whole(run, {"frames": frames, "token_ids": token_ids})["log_probs"]  # (B, P, T, h, w)
        expected = [_cells(captioner, bundle, *video) for video in zip(frames, features, token_ids, strict=True)]
        found.append(_agreement(name, outputs, np.stack(expected), frames_parity.TOLERANCE))
    return Agreement(name, sum(a.videos for a in found), 0, {}, max(a.log_prob_difference for a in found), 0.0)


def _cells(
    captioner: VideoCaptioner, bundle: EncoderBundle, video: np.ndarray, features: np.ndarray, token_ids: np.ndarray
) -> np.ndarray:
    """Log-probabilities float32 (P, T, h, w) of a sentence given each cell in turn, the other streams empty."""
    name = next(stream for stream in captioner.config.stream_names if bundle.streams[stream].spec.kind == "keyframe")
    stream, start = bundle.streams[name], 0
    for _, width in captioner.config.streams[: captioner.config.stream_names.index(name)]:
        start += width
    shown = video[bundle.plan.keyframes(len(video))][:, None]  # (P, 1, H, W, 3)
    resized = resize_frames_numpy(shown, stream.spec.input_size, stream.spec.fit)
    classes = stream.classify_cells(stream.feature_map(resized)).numpy()  # (P, h, w, M)
    items = np.zeros((classes[..., 0].size, features.size), np.float32)
    items[:, start : start + stream.spec.width] = classes.reshape(len(items), -1)
    log_probs = captioner.score(items, np.tile(token_ids, (len(items), 1)))
    return log_probs.reshape(*classes.shape[:3], -1).transpose(0, 3, 1, 2)


def _padded(captions: Sequence[Caption]) -> np.ndarray:
    """Token ids int32 (B, T), T the longest caption and its <end>."""
    ids = np.zeros((len(captions), 1 + max(len(caption.token_ids) for caption in captions)), np.int32)
    for row, caption in enumerate(captions):
        ids[row, : len(caption.token_ids)] = caption.token_ids
    return ids


def _agreement(name: str, found: np.ndarray, expected: np.ndarray, tolerance: float) -> Agreement:
    if found.shape != expected.shape:
        raise ExportError(f"saliency of shape {found.shape}, expected {expected.shape}", where=name)
    worst = apart(found.reshape(len(found), -1), expected.reshape(len(expected), -1))
    if worst > tolerance:
        raise ExportError(f"log-probabilities differ by {worst:.1e}, allowed {tolerance:.0e}", where=name)
    return Agreement(name, len(found), 0, {}, worst, 0.0)
