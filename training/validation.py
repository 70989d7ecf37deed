"""Validation during training: beam captions of the val split and their CIDEr, without Java.

CIDEr-D over our own tokens is what coco-caption's CIDEr computes over PTB tokens; on captions of plain words both agree
to a few thousandths. The final scores (evaluator.py) are coco-caption's.

One best caption for each of 50 videos is a noisy judge. All K hypotheses of the beam are K times as many captions at no
cost; over the epochs of a run their mean CIDEr on 50 val videos followed the CIDEr of 100 other unseen videos closer
than the best captions' did (correlation 0.96, 0.97, 0.83 against 0.77, 0.95, 0.81 in three runs; docs/LOG.md).
"""

from __future__ import annotations

import numpy as np

from glrg_tf.captioner.captioner import Caption, VideoCaptioner
from glrg_tf.text.vocabulary import Vocabulary
from training import material
from training.distribution import Workers

BEAM = 5  # most hypotheses a video that are judged: a wider beam's tail says little about its best


class Validator:
    """Scores a captioner on one split.

    Args:
        split: videos to caption.
        vocabulary: of the captioner.
        max_words: most words of a caption.
        workers: who share the videos; every one of them gets the scores of all.
    """

    def __init__(
        self, split: material.Split, vocabulary: Vocabulary, max_words: int = 28, workers: Workers | None = None
    ) -> None:
        self.workers = workers or Workers(None)
        self.features = split.features()
        self.rows = np.arange(len(split.records))
        self.width = max_words + 1
        self.scorer = material.build_ciderd(split, vocabulary, use_eos=False, shared_unknown=False)

    def __call__(self, captioner: VideoCaptioner) -> dict[str, float]:
        """Scores one state of the model.

        Returns:
            val_cider: CIDEr of the best captions (coco-caption's scale: 1.0 is what tables print as 100);
            val_beam_cider: mean CIDEr of all hypotheses that the beam ends with, the steadier number;
            val_length, val_distinct: words a best caption, number of different ones.
        """
        mine, hypotheses = self.workers.mine(len(self.rows)), min(captioner.decoding.beam_size, BEAM)
        tokens = np.zeros((hypotheses, len(self.rows), self.width), np.int32)
        captions = self.hypotheses(captioner, mine) if len(mine) else []
        for row, video in zip(mine, captions, strict=True):
            for place in range(hypotheses):  # a beam that ends with fewer repeats its last
                words = video[min(place, len(video) - 1)].token_ids
                tokens[place, row, : len(words)] = words
        tokens = self.workers.total(tokens).astype(np.int32)
        scores = [float(self.scorer.score_numpy(place, self.rows).mean()) for place in tokens]
        return {
            "val_cider": scores[0],
            "val_beam_cider": float(np.mean(scores)),
            "val_length": float(np.mean(np.count_nonzero(tokens[0], axis=1))),
            "val_distinct": float(len(np.unique(tokens[0], axis=0))),
        }

    def hypotheses(self, captioner: VideoCaptioner, rows: np.ndarray) -> list[list[Caption]]:
        """The captions of some videos of the split that are judged, best first."""
        beam = min(captioner.decoding.beam_size, BEAM)
        return captioner.generate(self.features[rows], beam, beam)
