"""CIDEr-D of sampled captions, in the graph: the reward of the boosting phase (GL-RG §3.4; specs/gl-rg.md §7).

For n = 1..4 a caption is the vector h(w) = tf(w)·(ln N − ln max(1, df(w))) over its n-grams w, and

    CIDEr-D = 10/4 Σ_n mean_r exp(−(l_h − l_r)²/2σ²) Σ_w min(h(w), r(w))·r(w) / (‖h‖·‖r‖),   σ = 6,

r over the video's references, l the number of bigrams (Vedantam et al. 2015, eq. 3-5, as computed by
coco-caption's and plsang/cider's `cider_scorer.py`, whose length is the bigram count).

Departs from that code only in how it counts: the k-th occurrence of an n-gram in the caption adds
(2k − 1)·idf² to ‖h‖² and, when the reference has it k times or more, r(w)·idf to the sum; so nothing
is grouped or hashed per caption. Equal to it to float32 rounding (`tests/metrics/test_ciderd.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.metrics import ngrams
from glrg_tf.metrics.ciderd_tables import END, SCALE, SIGMA, START, ReferenceTables, build_tables

if TYPE_CHECKING:
    import tensorflow as tf


class CiderD:
    """Scores token ids against the references of their videos.

    Args:
        tables: what `build_tables` made of the references.
        use_eos: whether the end token counts as a word, as in the release's boosting scripts.

    Example: `CiderD.from_references([[[5, 6], [5, 7]]])(token_ids, video_rows)`.
    """

    def __init__(self, tables: ReferenceTables, use_eos: bool = True) -> None:
        self.tables = tables
        self.use_eos = use_eos
        self._tensors: dict[str, Any] | None = None

    @classmethod
    def from_references(
        cls,
        references: Sequence[Sequence[Sequence[int]]],
        *,
        document_frequency: Mapping[tuple, float] | None = None,
        num_documents: float | None = None,
        use_eos: bool = True,
    ) -> CiderD:
        """Builds the scorer on the host.

        Args:
            references: references[v] = id lists of the captions of video row v: words only, or label rows
                (a leading 1 is skipped, what follows the first 0 is dropped). With `use_eos` a caption
                without a 0 gets one.
            document_frequency: see `build_tables`; for the release's ciderdf files pass its
                `document_frequency` and, as `num_documents`, its `ref_len`.
            num_documents: documents behind `document_frequency`; by default the number of videos.
            use_eos: whether the end token counts as a word.

        Raises:
            AnnotationError: no references, a video without any, or a negative id.
            DataError: document frequencies that are malformed or exceed the number of documents.
        """
        tail = [END] if use_eos else []
        words = [[caption_words(caption) + tail for caption in captions] for captions in references]
        return cls(build_tables(words, document_frequency, num_documents), use_eos)

    def __call__(self, token_ids: tf.Tensor, video_rows: tf.Tensor) -> tf.Tensor:
        """Scores captions with TensorFlow operations only; no gradient flows.

        Args:
            token_ids: int32 (N, T), words then 0; only the first 0 counts, ids 1 are skipped.
            video_rows: int32 (N,), row of each caption's video in the references.

        Returns:
            float32 (N,).
        """
        from glrg_tf.metrics import ciderd_graph

        return ciderd_graph.score(self._table_tensors(), token_ids, video_rows, self.use_eos)

    def compiled(self, token_ids: tf.Tensor, video_rows: tf.Tensor) -> tf.Tensor:
        """The same for steps under `jit_compile=True`: static shapes (N, T), slower than `__call__` without XLA."""
        from glrg_tf.metrics import ciderd_xla

        most_postings = int(np.diff(self.tables.pair_starts).max())
        return ciderd_xla.score(self._table_tensors(), most_postings, token_ids, video_rows, self.use_eos)

    def _table_tensors(self) -> dict[str, tf.Tensor]:
        if self._tensors is None:
            import tensorflow as tf

            from glrg_tf.metrics import ciderd_graph

            with tf.init_scope():  # made once, outside of the function that is being traced
                self._tensors = ciderd_graph.tensors(self.tables)
        return self._tensors

    def score_numpy(self, token_ids: np.ndarray, video_rows: np.ndarray) -> np.ndarray:
        """The same on the host, float64 (N,), without TensorFlow."""
        token_ids = np.atleast_2d(np.asarray(token_ids, np.int64))
        captions = [_cut(row, self.use_eos) for row in token_ids.tolist()]
        ids, lengths = ngrams.flatten(captions)
        table = self.tables
        video_rows = np.asarray(video_rows, np.int64)
        segment, keys, rank = ngram_occurrences(ids, lengths)

        index = np.searchsorted(table.ngram_keys, keys)
        index[table.ngram_keys[index] != keys] = len(table.ngram_keys) - 1
        squares = np.bincount(segment, (2 * rank - 1) * table.squared_idf[index], len(lengths) * ngrams.MAX_ORDER)

        caption = segment // ngrams.MAX_ORDER
        pair_key = video_rows[caption] * len(table.ngram_keys) + index
        pair = np.searchsorted(table.pair_keys, pair_key)
        pair[table.pair_keys[pair] != pair_key] = len(table.pair_keys) - 1
        sizes = np.diff(table.pair_starts)[pair]
        occurrence = np.repeat(np.arange(len(pair)), sizes)
        posting = np.arange(len(occurrence)) + np.repeat(table.pair_starts[pair] - (np.cumsum(sizes) - sizes), sizes)
        difference = np.maximum(lengths - 1, 0)[caption[occurrence]] - table.posting_lengths[posting]
        shared = table.posting_values[posting] * np.exp(-(difference**2) / (2 * SIGMA**2))
        shared *= rank[occurrence] <= table.posting_counts[posting]
        products = np.bincount(segment[occurrence], shared, len(lengths) * ngrams.MAX_ORDER)
        cosines = products / np.maximum(np.sqrt(squares), np.finfo(np.float64).tiny)
        summed = cosines.reshape(-1, ngrams.MAX_ORDER).sum(-1)
        return SCALE / ngrams.MAX_ORDER * summed / table.reference_counts[video_rows]


def caption_words(caption: Sequence[int]) -> list[int]:
    """Returns the words of a caption or label row: without ids 1, up to the first 0."""
    words: list[int] = []
    for token in caption:
        if token == END:
            break
        if token != START:
            words.append(int(token))
    return words


def _cut(row: list[int], use_eos: bool) -> list[int]:
    return caption_words(row) + ([END] if use_eos and END in row else [])


def ngram_occurrences(ids: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists the n-grams of captions laid end to end: (caption · 4 + n - 1, key, occurrence number 1..), sorted."""
    caption = np.repeat(np.arange(len(lengths)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(ids))
    segments, keys = [], []
    for order in range(1, ngrams.MAX_ORDER + 1):
        starts = np.flatnonzero(left >= order)
        segments.append(caption[starts] * ngrams.MAX_ORDER + order - 1)
        keys.append(ngrams.pack_columns([ids[starts + i] for i in range(order)]))
    segment, key = np.concatenate(segments), np.concatenate(keys)
    order_of = np.lexsort((key, segment))
    segment, key = segment[order_of], key[order_of]
    new = (np.diff(segment, prepend=-1) != 0) | (np.diff(key, prepend=-1) != 0)
    position = np.arange(len(key))
    rank = position - np.maximum.accumulate(np.where(new, position, 0)) + 1
    return segment, key, rank


def encode_references(
    captions_per_video: Sequence[Sequence[str]],
    vocabulary: Any,
    tokenizer: Any,
    *,
    unknown: str = "own",
) -> list[list[list[int]]]:
    """Encodes captions for `CiderD.from_references`.

    Args:
        captions_per_video: captions of each video row.
        vocabulary: `glrg_tf.text.vocabulary.Vocabulary`; its ids come first.
        tokenizer: text -> words.
        unknown: "own" gives every word outside the vocabulary an id of its own after the vocabulary's, so
            that a sampled <unk> matches none of them; "shared" encodes all as <unk>, as the release does.

    Returns:
        Word ids per video and caption, without <start> and <end>.

    Raises:
        ConfigError: a vocabulary of more than 32768 words, or another `unknown`.
    """
    if unknown not in ("own", "shared"):
        raise ConfigError(f"unknown words are 'own' or 'shared', not {unknown!r}", where="unknown")
    size = len(vocabulary)
    if size > ngrams.ID_LIMIT:
        raise ConfigError(f"CIDEr-D takes vocabularies of up to {ngrams.ID_LIMIT} words, not {size}")
    ids: dict[str, int] = {}

    def identify(word: str) -> int:
        found = vocabulary.id_of(word)
        if found > vocabulary.UNK:  # a caption that spells "<end>" does not end there
            return found
        return vocabulary.UNK if unknown == "shared" else ids.setdefault(word, size + len(ids))

    return [[[identify(word) for word in tokenizer(text)] for text in captions] for captions in captions_per_video]
