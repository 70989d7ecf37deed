"""Smaller forms of a captioner: their rounded weights, and what the rounding costs in captions and in scores.

A float16 artefact must equal, exactly as a float32 one does, the captioner whose weights are rounded to float16. An
int8 one has no such twin in Keras: it is held to give the same captions whatever the batch, and to choose captions that
the original finds nearly as likely as its own. What either loses in CIDEr is measured where a data set is at hand.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from export.parity import BATCHES, Agreement, Reference, read_captions, run_batches
from export.runners import Run
from glrg_tf.captioner.captioner import Caption, VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.errors import ExportError
from glrg_tf.metrics import coco

METRICS = ("Bleu_4", "ROUGE_L", "CIDEr")  # METEOR takes most of the time and says the same
MAX_REGRET = 0.05  # nats a word that the original may like its own caption better, mean over videos


@dataclasses.dataclass(frozen=True)
class ScoreChange:
    """Scores of an artefact's captions and of the original's, on one split.

    Attributes:
        split: its name.
        videos: how many.
        scores: metric -> score of the artefact, 0..1.
        original: metric -> score of the Keras captioner.
        changed: videos with another caption.
    """

    split: str
    videos: int
    scores: dict[str, float]
    original: dict[str, float]
    changed: int

    @property
    def cider_loss(self) -> float:
        """CIDEr points lost, in percent."""
        return 100.0 * (self.original["CIDEr"] - self.scores["CIDEr"])


def rounded(captioner: VideoCaptioner) -> VideoCaptioner:
    """The same captioner with weights rounded to float16.

    Raises:
        ExportError: a weight too large for float16.
    """
    values = {
        name: value.astype(np.float16).astype(np.float32) for name, value in captioner.model.get_weights().items()
    }
    large = [name for name, value in values.items() if not np.isfinite(value).all()]
    if large:
        raise ExportError("a weight is too large for float16", where=large[0], remedy="export without float16")
    model = CaptionerModel(captioner.config)
    model.set_weights(values)
    return VideoCaptioner(
        model,
        captioner.vocabulary,
        captioner.decoding,
        ngram_weights=captioner.ngram_weights,
        content_prior=captioner.content_prior,
    )


def check_int8(name: str, run: Run, reference: Reference) -> tuple[Agreement, float]:
    """Holds an int8 artefact to what can be asked of it (see the module).

    Returns:
        How it agrees (`ties` counts videos with another best caption), and its regret: nats a word that the original
        prefers its own best captions by, mean over videos.

    Raises:
        ExportError: captions depend on the batch, a wrong row is refused, or the regret is too large.
    """
    features, captioner = reference.probes.features, reference.captioner
    outputs = {batch: run_batches(run, features, batch) for batch in BATCHES}
    first = outputs[BATCHES[0]]
    for batch in BATCHES[1:]:
        if not np.array_equal(outputs[batch]["token_ids"], first["token_ids"]):
            raise ExportError(f"captions in a batch of {batch} differ from those of single videos", where=name)
    regrets: list[float] = []
    changed: Counter[str] = Counter()
    for row, expected in enumerate(reference.captions):
        found = read_captions(first, row, captioner)
        if bool(found) != bool(expected):
            raise ExportError("a row is refused that should not be, or the other way round", where=f"{name}: {row}")
        if found and found[0].token_ids != expected[0].token_ids:
            changed[reference.probes.kinds[row]] += 1
            regrets.append(_per_word(expected[0].token_log_probs) - _opinion(reference, row, found[0]))
        elif found:
            regrets.append(0.0)
    regret = float(np.mean(regrets))
    if regret > MAX_REGRET:
        raise ExportError(
            f"rounding to int8 costs {regret:.3f} nats a word, allowed {MAX_REGRET}",
            where=name,
            remedy="export without --quantize int8",
        )
    captions = sum(len(found) for found in reference.captions)
    return Agreement(name, len(reference.captions), captions, dict(changed), float("nan"), float("nan")), regret


def measure_change(
    split: str,
    references: Mapping[str, Sequence[str]],
    original: Sequence[Caption],
    texts: Sequence[str],
    known: dict[tuple[str, ...], dict[str, float]],
) -> ScoreChange:
    """Scores an artefact's captions beside the original's.

    Args:
        split: name of the split.
        references: video id -> captions, in row order.
        original: best captions of the Keras captioner, in row order.
        texts: best captions of the artefact, in row order.
        known: scores of caption lists seen before; added to.
    """
    before = tuple(caption.text for caption in original)
    for captions in (before, tuple(texts)):
        if captions not in known:
            predictions = dict(zip(references, captions, strict=True))
            known[captions] = coco.score_captions(references, predictions, METRICS).overall
    changed = sum(a != b for a, b in zip(before, texts, strict=True))
    return ScoreChange(split, len(before), known[tuple(texts)], known[before], changed)


def _opinion(reference: Reference, row: int, caption: Caption) -> float:
    spent = reference.scores_of(row, [caption])[0][: len(caption.token_log_probs)]
    return _per_word(spent)


def _per_word(log_probs: Sequence[float] | np.ndarray) -> float:
    return float(np.sum(log_probs)) / max(1, len(log_probs))
