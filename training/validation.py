"""Validation during training: beam captions of the val split and their CIDEr, without Java.

CIDEr-D over our own tokens is what coco-caption's CIDEr computes over PTB tokens; on captions of plain words both agree
to a few thousandths. The final scores (evaluator.py) are coco-caption's.
"""

from __future__ import annotations

import numpy as np

from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.text.vocabulary import Vocabulary
from training import material


class Validator:
    """Scores a captioner on one split.

    Args:
        split: videos to caption.
        vocabulary: of the captioner.
        max_words: most words of a caption.
    """

    def __init__(self, split: material.Split, vocabulary: Vocabulary, max_words: int = 28) -> None:
        self.features = split.features()
        self.rows = np.arange(len(split.records))
        self.width = max_words + 1
        self.scorer = material.build_ciderd(split, vocabulary, use_eos=False, shared_unknown=False)

    def __call__(self, captioner: VideoCaptioner) -> dict[str, float]:
        """CIDEr (0-10 scale as coco's 0-1 times one), mean length and number of distinct captions."""
        captions = [best[0] for best in captioner.generate(self.features)]
        tokens = np.zeros((len(captions), self.width), np.int32)
        for row, caption in enumerate(captions):
            tokens[row, : len(caption.token_ids)] = caption.token_ids
        return {
            "val_cider": float(self.scorer.score_numpy(tokens, self.rows).mean()),
            "val_length": float((tokens != 0).sum(axis=1).mean()),
            "val_distinct": float(len({caption.token_ids for caption in captions})),
        }
