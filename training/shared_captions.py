"""Captions of many videos by all devices of a run.

Videos are captioned in chunks of a fixed number. Devices share whole chunks, so every one is computed in the same shape
wherever it falls, and a caption does not depend on the number of devices or workers (on equal devices, to the bit).
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_tf.captioner.captioner import Caption, VideoCaptioner
from glrg_tf.text.tokenizer import get_tokenizer
from training.distribution import Workers, first_place

if TYPE_CHECKING:
    import tensorflow as tf

CHUNK = 64  # videos; what `VideoCaptioner.generate` decodes at once


def caption_shared(
    captioner: VideoCaptioner, features: np.ndarray, strategy: tf.distribute.Strategy | None, **options: Any
) -> list[Caption]:
    """The best caption of every video; with several workers all of them call it, and each gets all captions.

    Args:
        captioner: who captions; its weights are read by the other devices.
        features: float32 (N, D).
        strategy: the devices; None is one.
        options: of `VideoCaptioner.generate`.

    Raises:
        FeatureError: as `generate`.
    """
    workers = Workers(strategy)
    devices = [None] if strategy is None else list(strategy.extended.worker_devices)
    chunks = [slice(start, start + CHUNK) for start in range(0, len(features), CHUNK)]
    mine = workers.mine(len(chunks))

    def of_device(number: int) -> list[list[Caption]]:
        bounds = [first_place(part, len(devices), len(mine)) for part in (number, number + 1)]
        with _on(devices[number]):
            found = (captioner.generate(features[chunks[chunk]], **options) for chunk in mine[slice(*bounds)])
            return [captions for chunk in found for captions in chunk]

    with ThreadPoolExecutor(len(devices)) as pool:
        found = [captions[0] for part in pool.map(of_device, range(len(devices))) for captions in part]
    if workers.task.workers == 1:
        return found
    places = [place for chunk in mine for place in range(*chunks[chunk].indices(len(features)))]
    return _gathered(captioner, workers, dict(zip(places, found, strict=True)), len(features))


def _gathered(captioner: VideoCaptioner, workers: Workers, mine: dict[int, Caption], videos: int) -> list[Caption]:
    """All captions of all workers, from those that this one holds by place; float64 carries every bit."""
    width = captioner.decoding.max_words + 2
    numbers = np.zeros((videos, 3))  # score, words, log-probabilities
    tokens, log_probs = np.zeros((videos, width)), np.zeros((videos, width))
    for place, caption in mine.items():
        numbers[place] = caption.score, len(caption.token_ids), len(caption.token_log_probs)
        tokens[place, : len(caption.token_ids)] = caption.token_ids
        log_probs[place, : len(caption.token_log_probs)] = caption.token_log_probs
    numbers, tokens, log_probs = (workers.total(part) for part in (numbers, tokens, log_probs))
    tokenizer, captions = get_tokenizer(captioner.vocabulary.tokenizer), []
    for (score, words, steps), ids, gained in zip(numbers, tokens, log_probs, strict=True):
        known = tuple(int(i) for i in ids[: int(words)])
        text = tokenizer.detokenize(captioner.vocabulary.decode(np.array(known, np.int32)))
        captions.append(Caption(text, float(score), known, tuple(float(x) for x in gained[: int(steps)])))
    return captions


def _on(device: str | None) -> contextlib.AbstractContextManager[Any]:
    if device is None:
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.device(device)
