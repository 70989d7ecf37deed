"""Compares artefacts with the Keras captioner they were made from, and refuses those that differ.

For every probe (see `probes`), in batches of 1, 7 and 32:
- the captions are the same, token for token and letter for letter, all K of them;
- log-probabilities of their tokens and their scores agree to `TOLERANCE`;
- rows that must be refused are refused, and only those.
The one exception is a tie: where a float64 search (see `margins`) shows that two hypotheses differed by less than twice
the tolerance, either choice is right; then the log-probabilities of the chosen captions are compared. Ties are counted.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from export.margins import narrowest_margin
from export.probes import Probes, accepted
from export.runners import Run
from export.signatures import NEVER_BELOW, REFUSED
from glrg_tf.captioner.captioner import Caption, VideoCaptioner
from glrg_tf.errors import ExportError
from glrg_tf.text.tokenizer import get_tokenizer

BATCHES = (1, 7, 32)
# Largest difference of a log-probability, relative where it is beyond 1. Runtimes sum in different orders.
TOLERANCE = 1e-5
LITERT_TOLERANCE = 5e-5  # its kernels sum one term after the other; measured on trained captioners: 1e-5


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How well an artefact agrees with its source.

    Attributes:
        artefact: its name.
        videos: probes compared, in each of the batch sizes.
        captions: hypotheses compared.
        ties: videos in which a tie was decided otherwise, by kind of probe.
        log_prob_difference: largest difference of a token's log-probability (relative beyond 1).
        score_difference: the same of a caption's score.
    """

    artefact: str
    videos: int
    captions: int
    ties: dict[str, int]
    log_prob_difference: float
    score_difference: float


class Reference:
    """The Keras captioner's own answers on some probes.

    Args:
        captioner: who answers.
        probes: on what.
        beam_size: K; as many captions a video are compared.
    """

    def __init__(self, captioner: VideoCaptioner, probes: Probes, beam_size: int) -> None:
        self.captioner, self.probes, self.beam_size = captioner, probes, beam_size
        fine = accepted(probes.features)
        found = iter(captioner.generate(probes.features[fine], beam_size, beam_size))
        self.captions: list[list[Caption]] = [next(found) if known else [] for known in fine]
        self._margins: dict[int, float] = {}

    def is_tie(self, row: int, tolerance: float) -> bool:
        """Whether the search of a row could rightly have decided otherwise: two sums, each off by the tolerance."""
        if row not in self._margins:
            features = self.probes.features[row]
            self._margins[row] = narrowest_margin(self.captioner, features, self.beam_size)
        return self._margins[row] < 2 * tolerance

    def scores_of(self, row: int, captions: Sequence[Caption]) -> np.ndarray:
        """The reference's log-probabilities of given captions, float32 (n, T)."""
        width = self.captioner.decoding.max_words
        ids = np.zeros((len(captions), width), np.int32)
        for place, caption in enumerate(captions):
            ids[place, : len(caption.token_ids)] = caption.token_ids
        features = np.repeat(self.probes.features[row][None], len(captions), axis=0)
        return self.captioner.score(features, ids, steered=True)


def check_hypotheses(name: str, run: Run, reference: Reference, tolerance: float = TOLERANCE) -> Agreement:
    """Compares an artefact that gives `scores`, `token_ids` and `token_log_probs` (and, perhaps, `captions`).

    Raises:
        ExportError: they differ; says which probe, in which batch size, and how.
    """
    found = [
        check_batch(f"{name}: batch {batch}", run_batches(run, reference.probes.features, batch), reference, tolerance)
        for batch in BATCHES
    ]
    return _worst(name, found)


def check_best(name: str, run: Run, reference: Reference, tolerance: float = TOLERANCE) -> Agreement:
    """Compares an artefact that gives one `caption` and its `score` a video.

    Raises:
        ExportError: they differ.
    """
    found = []
    for batch in BATCHES:
        outputs = run_batches(run, reference.probes.features, batch)
        found.append(check_best_batch(f"{name}: batch {batch}", outputs, reference, tolerance))
    return _worst(name, found)


def check_batch(name: str, outputs: dict[str, np.ndarray], reference: Reference, tolerance: float) -> Agreement:
    """`check_hypotheses` of outputs that are there already, one row a probe."""
    worst_log_prob = worst_score = 0.0
    ties: Counter[str] = Counter()
    for row, expected in enumerate(reference.captions):
        found = read_captions(outputs, row, reference.captioner)
        where = f"{name}, probe {row} ({reference.probes.kinds[row]})"
        if [c.token_ids for c in found] != [c.token_ids for c in expected]:
            if not expected or not found or not reference.is_tie(row, tolerance):
                raise ExportError(_difference(found, expected), where=where, remedy=_REMEDY)
            ties[reference.probes.kinds[row]] += 1
            expected = _rescored(found, row, reference)
        if [c.text for c in found] != [c.text for c in expected]:
            raise ExportError(_difference(found, expected), where=where, remedy=_REMEDY)
        log_prob = apart([c.token_log_probs for c in found], [c.token_log_probs for c in expected])
        score = apart([(c.score,) for c in found], [(c.score,) for c in expected])
        if max(log_prob, score) > tolerance:
            raise ExportError(
                f"log-probabilities differ by {max(log_prob, score):.1e}, allowed {tolerance:.0e}",
                where=where,
                remedy=_REMEDY,
            )
        worst_log_prob, worst_score = max(worst_log_prob, log_prob), max(worst_score, score)
    captions = sum(len(found) for found in reference.captions)
    return Agreement(name, len(reference.captions), captions, dict(ties), worst_log_prob, worst_score)


def check_best_batch(name: str, outputs: dict[str, np.ndarray], reference: Reference, tolerance: float) -> Agreement:
    """`check_best` of outputs that are there already, one row a probe."""
    worst = 0.0
    ties: Counter[str] = Counter()
    for row, expected in enumerate(reference.captions):
        text, score = _text(outputs["caption"][row]), float(outputs["score"][row])
        best = expected[0] if expected else Caption("", REFUSED, (), ())
        where = f"{name}, probe {row} ({reference.probes.kinds[row]})"
        if text != best.text and not (expected and reference.is_tie(row, tolerance)):
            raise ExportError(f"caption {text!r}, expected {best.text!r}", where=where, remedy=_REMEDY)
        gap = apart([(score,)], [(best.score,)])
        # A tie is one of candidates in the middle of the search: what comes of them may score differently.
        if text != best.text:
            ties[reference.probes.kinds[row]] += 1
        elif gap > tolerance:
            raise ExportError(f"scores differ by {gap:.1e}, allowed {tolerance:.0e}", where=where, remedy=_REMEDY)
        else:
            worst = max(worst, gap)
    return Agreement(name, len(reference.captions), len(reference.captions), dict(ties), 0.0, worst)


def run_batches(run: Run, features: np.ndarray, batch: int) -> dict[str, np.ndarray]:
    """Outputs of all rows, computed `batch` at a time.

    Raises:
        ExportError: the artefact fails while it runs.
    """
    parts = [run_whole(run, features[start : start + batch]) for start in range(0, len(features), batch)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def run_whole(run: Run, values: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs for one input, or for several by name.

    Raises:
        ExportError: the artefact fails while it runs.
    """
    try:
        return run(values)
    except Exception as error:  # every runtime has errors of its own
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        shape = getattr(values, "shape", "several")
        raise ExportError(
            f"the artefact fails on an input of shape {shape}: {lines[0][:200]}", remedy=_REMEDY
        ) from error


def _worst(name: str, found: Sequence[Agreement]) -> Agreement:
    """The agreements of one set of probes in several batch sizes as one."""
    kinds = dict.fromkeys(kind for agreement in found for kind in agreement.ties)
    return Agreement(
        name,
        found[0].videos,
        found[0].captions,
        {kind: max(agreement.ties.get(kind, 0) for agreement in found) for kind in kinds},
        max(agreement.log_prob_difference for agreement in found),
        max(agreement.score_difference for agreement in found),
    )


_REMEDY = "the artefact was removed; please report this with the versions that `glrg checks` prints"


def read_captions(outputs: dict[str, np.ndarray], row: int, captioner: VideoCaptioner) -> list[Caption]:
    """The hypotheses of one video as `VideoCaptioner.generate` would return them."""
    tokenizer, captions = get_tokenizer(captioner.vocabulary.tokenizer), []
    texts = outputs.get("captions")
    for place, (ids, score) in enumerate(zip(outputs["token_ids"][row], outputs["scores"][row], strict=True)):
        length = int(np.argmin(ids != 0)) if (ids == 0).any() else len(ids)
        known = tuple(int(i) for i in ids[:length])
        if score <= NEVER_BELOW or known in {c.token_ids for c in captions}:
            continue
        written = _text(texts[row, place]) if texts is not None else None
        text = tokenizer.detokenize(captioner.vocabulary.decode(ids)) if written is None else written
        spent = tuple(float(x) for x in outputs["token_log_probs"][row, place][: length + 1])
        captions.append(Caption(text, float(score), known, spent))
    return captions


def _text(value: bytes | str) -> str:
    """TensorFlow gives utf-8, ONNX Runtime text."""
    return value if isinstance(value, str) else value.decode()


def _rescored(found: list[Caption], row: int, reference: Reference) -> list[Caption]:
    """The captions an artefact chose in a tie, with the reference's opinion of them."""
    tokenizer = get_tokenizer(reference.captioner.vocabulary.tokenizer)
    alpha = reference.captioner.decoding.length_normalization if reference.beam_size > 1 else 0.0  # as `generate`
    captions = []
    for caption, log_probs in zip(found, reference.scores_of(row, found), strict=True):
        spent = tuple(float(x) for x in log_probs[: len(caption.token_log_probs)])
        text = tokenizer.detokenize(reference.captioner.vocabulary.decode(caption.token_ids))
        captions.append(Caption(text, sum(spent) / max(len(spent), 1) ** alpha, caption.token_ids, spent))
    return captions


def apart(found: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> float:
    """Largest difference of two arrays whose rows may differ in length, relative where the expected number is beyond 1.

    A NaN is infinitely far from anything.
    """
    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        if ours.shape != theirs.shape:
            return np.inf
        gaps = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
        worst = max([worst, *np.where(np.isnan(gaps), np.inf, gaps).tolist()])
    return worst


def _difference(found: list[Caption], expected: list[Caption]) -> str:
    def quoted(captions: list[Caption]) -> str:
        return f"{captions[0].text!r} and {len(captions) - 1} more" if captions else "nothing (refused)"

    return f"captions differ: {quoted(found)}, expected {quoted(expected)}"
