"""Rewards other than CIDEr-D for the boosting phase: BLEU-4, ROUGE-L, METEOR, and weighted sums.

All are called as CIDEr-D is, (token_ids, video_rows) -> float32 (N,), and read a caption up to its first end token,
which is no word here. Each keeps its own scale: BLEU-4, ROUGE-L and METEOR go to 1, CIDEr-D to 10.

Only CIDEr-D is computed in the graph. For 640 captions with 20 references each, on one thread, BLEU-4 takes about
6 ms on the host, ROUGE-L 5 ms; METEOR asks Java and takes about 3 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_tf.metrics import meteor, ngrams
from glrg_tf.metrics.ciderd import caption_words, encode_references, ngram_occurrences
from glrg_tf.metrics.ciderd_tables import build_tables
from glrg_tf.metrics.coco import bleu_from_statistics
from glrg_tf.metrics.reward_names import BUILT_IN, HostReward, check_reward, own_reward
from glrg_tf.metrics.subsequences import CommonSubsequences, rouge_l_score
from glrg_tf.text.tokenizer import get_tokenizer

if TYPE_CHECKING:
    import tensorflow as tf

    from glrg_tf.text.vocabulary import Vocabulary

Reward = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]  # token_ids (N, T), video_rows (N,) -> float32 (N,)
References = Sequence[Sequence[Sequence[int]]]  # video row -> captions -> word ids


class Bleu4:
    """Sentence BLEU-4, smoothed as coco-caption does (closest reference length).

    Args:
        references: word ids of the captions of each video row.
    """

    def __init__(self, references: References) -> None:
        tables = build_tables(references)
        self._ngram_keys, self._pair_keys = tables.ngram_keys, tables.pair_keys
        # The sentinel's pair has no postings; a closing 0 stands for them.
        counts = np.append(tables.posting_counts, 0)
        self._most = np.maximum.reduceat(counts, tables.pair_starts[:-1])
        self._lengths = [np.sort([len(caption) for caption in captions]) for captions in references]

    def score_numpy(self, token_ids: np.ndarray, video_rows: np.ndarray) -> np.ndarray:
        """See `HostReward`."""
        ids, lengths = ngrams.flatten([caption_words(row) for row in np.asarray(token_ids).tolist()])
        rows = np.asarray(video_rows, np.int64)
        segment, keys, rank = ngram_occurrences(ids, lengths)
        index = np.searchsorted(self._ngram_keys, keys)
        index[self._ngram_keys[index] != keys] = len(self._ngram_keys) - 1
        pair_key = rows[segment // ngrams.MAX_ORDER] * len(self._ngram_keys) + index
        pair = np.searchsorted(self._pair_keys, pair_key)
        matched = (self._pair_keys[pair] == pair_key) & (rank <= self._most[pair])
        correct = np.bincount(segment[matched], minlength=len(lengths) * ngrams.MAX_ORDER)
        guess = np.maximum(lengths[:, None] - np.arange(ngrams.MAX_ORDER), 0)
        closest = [self._closest(row, length) for row, length in zip(rows, lengths, strict=True)]
        correct = correct.reshape(-1, ngrams.MAX_ORDER)
        return bleu_from_statistics(np.column_stack([lengths, closest, guess, correct]))[:, 3]

    def _closest(self, row: int, length: int) -> int:
        lengths = self._lengths[row]
        return lengths[np.abs(lengths - length).argmin()]  # sorted: the shorter of two equally close ones


class RougeL:
    """ROUGE-L (best precision, best recall).

    Args:
        references: word ids of the captions of each video row.
    """

    def __init__(self, references: References) -> None:
        self._lengths = [np.maximum([len(caption) for caption in captions], 1) for captions in references]
        self._subsequences = [CommonSubsequences(captions) for captions in references]

    def score_numpy(self, token_ids: np.ndarray, video_rows: np.ndarray) -> np.ndarray:
        """See `HostReward`."""
        precision, recall = np.zeros(len(token_ids)), np.zeros(len(token_ids))
        for number, (caption, row) in enumerate(zip(np.asarray(token_ids).tolist(), video_rows, strict=True)):
            words = caption_words(caption)
            common = self._subsequences[row].lengths(words)
            precision[number] = common.max() / max(len(words), 1)
            recall[number] = (common / self._lengths[row]).max()
        return rouge_l_score(precision, recall)


class Meteor:
    """METEOR by the kept Java process; equal captions of a video are asked once.

    Args:
        references: words of the captions of each video row, joined by blanks.
        words: words of the vocabulary by id.
    """

    def __init__(self, references: Sequence[Sequence[str]], words: Sequence[str]) -> None:
        self._references = references
        self._words = words
        meteor.start()

    def score_numpy(self, token_ids: np.ndarray, video_rows: np.ndarray) -> np.ndarray:
        """See `HostReward`."""
        asked: dict[tuple[int, str], int] = {}
        places = [
            asked.setdefault((int(row), " ".join(self._words[i] for i in caption_words(caption))), len(asked))
            for caption, row in zip(np.asarray(token_ids).tolist(), video_rows, strict=True)
        ]
        references = [self._references[row] for row, _ in asked]
        return meteor.score([caption for _, caption in asked], references).segments[places]


class RewardMix:
    """A weighted sum of rewards.

    Args:
        in_graph: rewards made of TensorFlow operations, with their weights.
        on_host: rewards computed by numpy or Java, with their weights; one host call a batch serves them all.
    """

    def __init__(self, in_graph: Sequence[tuple[Reward, float]], on_host: Sequence[tuple[HostReward, float]]) -> None:
        self._in_graph, self._on_host = tuple(in_graph), tuple(on_host)

    @classmethod
    def build(
        cls,
        weights: Sequence[tuple[str, float]],
        captions_per_video: Sequence[Sequence[str]],
        vocabulary: Vocabulary,
        ciderd: Reward,
    ) -> RewardMix:
        """Builds the rewards that have a weight.

        Args:
            weights: pairs of a name of `known_rewards()` and its weight.
            captions_per_video: references of each video row.
            vocabulary: of the captioner.
            ciderd: the CIDEr-D reward.

        Raises:
            ConfigError: an unknown name, or no Java for METEOR.
            AnnotationError: a video without references.
        """
        tokenizer: Any = get_tokenizer(vocabulary.tokenizer)
        references = encode_references(captions_per_video, vocabulary, tokenizer)
        in_graph: list[tuple[Reward, float]] = []
        on_host: list[tuple[HostReward, float]] = []
        for name, weight in weights:
            check_reward(name)
            if weight == 0:
                continue
            if name == "CIDEr-D":
                in_graph.append((ciderd, weight))
            elif name == "METEOR":
                texts = [[" ".join(tokenizer(caption)) for caption in captions] for captions in captions_per_video]
                on_host.append((Meteor(texts, vocabulary.words), weight))
            elif name in BUILT_IN:
                on_host.append(((Bleu4 if name == "Bleu_4" else RougeL)(references), weight))
            else:
                on_host.append((own_reward(name)(references, vocabulary), weight))
        return cls(in_graph, on_host)

    def __call__(self, token_ids: tf.Tensor, video_rows: tf.Tensor) -> tf.Tensor:
        """Float32 (N,) of int32 (N, T) captions of int32 (N,) video rows; no gradient flows."""
        import tensorflow as tf

        total = tf.zeros(tf.shape(token_ids)[:1])
        for reward, weight in self._in_graph:
            total += weight * reward(token_ids, video_rows)
        if self._on_host:
            scores = tf.numpy_function(self._score_on_host, [token_ids, video_rows], tf.float32, stateful=False)
            total += tf.ensure_shape(scores, [None])
        return tf.stop_gradient(total)

    def _score_on_host(self, token_ids: np.ndarray, video_rows: np.ndarray) -> np.ndarray:
        scores = [weight * reward.score_numpy(token_ids, video_rows) for reward, weight in self._on_host]
        return np.sum(scores, axis=0).astype(np.float32)
