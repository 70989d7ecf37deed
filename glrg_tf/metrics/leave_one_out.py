"""CIDEr, BLEU-4 and ROUGE-L of every caption against the other captions of its video, all at once.

Equal to running pycocoevalcap once for each column j (caption j of every video against the others, words as
blanks separate them), as the release made its evalscores files; a column's document frequencies do not count
the captions of that column. Videos may have different numbers of captions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glrg_tf.metrics import ngrams
from glrg_tf.metrics.ciderd_tables import SCALE, SIGMA, count_references
from glrg_tf.metrics.coco import bleu_from_statistics
from glrg_tf.metrics.subsequences import CommonSubsequences, rouge_l_score


def cider(captions_per_video: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Leave-one-out CIDEr (its clipped, length-penalised form), float64 (G,) a video."""
    corpus = _Corpus(captions_per_video)
    squared_idf_of = _ColumnIdf(corpus)
    scores = np.zeros(len(corpus.lengths))
    for column in range(corpus.sizes.max(initial=0)):
        videos = int((corpus.sizes > column).sum())  # the larger videos come first
        scores[corpus.offsets[:videos] + column] = _cider_column(corpus, column, videos, squared_idf_of(column))
    return corpus.by_video(scores)


def bleu_4(captions_per_video: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Leave-one-out sentence BLEU-4 (smoothed as coco-caption does), float64 (G,) a video."""
    corpus = _Corpus(captions_per_video)
    matched = np.minimum(corpus.count, corpus.most_in_others())
    slot = corpus.caption * ngrams.MAX_ORDER + corpus.order
    correct = np.bincount(slot, matched, len(corpus.lengths) * ngrams.MAX_ORDER).reshape(-1, ngrams.MAX_ORDER)
    guess = np.maximum(corpus.lengths[:, None] - np.arange(ngrams.MAX_ORDER), 0)
    closest = np.concatenate([_closest(part) for part in np.split(corpus.lengths, corpus.offsets[1:])])
    statistics = np.column_stack([corpus.lengths, closest, guess, correct])
    return corpus.by_video(bleu_from_statistics(statistics)[:, 3])


def rouge_l(captions_per_video: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Leave-one-out ROUGE-L, float64 (G,) a video."""
    return [_rouge_video([caption.split(" ") for caption in captions]) for captions in captions_per_video]


class _Corpus:
    """The n-grams of all captions, sorted by (video, n-gram, caption), videos with more captions first.

    Attributes:
        sizes: captions of each video, falling; offsets: first caption of each.
        lengths: words of each caption.
        caption, gram, count: (E,) which caption holds which n-gram how often; order: n - 1; group: number of
            its (video, n-gram); group_starts: first entry of each group.
    """

    def __init__(self, captions_per_video: Sequence[Sequence[str]]) -> None:
        sizes = np.fromiter(map(len, captions_per_video), np.int64, len(captions_per_video))
        self.arrangement = np.argsort(-sizes, kind="stable")
        self.sizes = sizes[self.arrangement]
        self.offsets = np.cumsum(self.sizes) - self.sizes
        self.video_of = np.repeat(np.arange(len(sizes)), self.sizes)
        ids: dict[str, int] = {}
        words = [
            [ids.setdefault(word, len(ids)) for word in caption.split()]
            for video in self.arrangement
            for caption in captions_per_video[video]
        ]
        flat, self.lengths = ngrams.flatten(words)
        grams = count_references(flat, self.lengths)
        self.num_grams = len(grams.orders)
        group = self.video_of[grams.reference] * (self.num_grams + 1) + grams.gram
        order = np.argsort(group, kind="stable")  # entries come by caption: within a group they stay so
        self.caption, self.gram, self.count = grams.reference[order], grams.gram[order], grams.count[order]
        self.order = grams.orders[self.gram]
        new = np.diff(group[order], prepend=-1) != 0
        self.group_starts = np.flatnonzero(new)
        self.group = np.cumsum(new) - 1
        self.group_sizes = np.diff(self.group_starts, append=len(order))
        # First entry of each video, and the end.
        self.entry_offsets = np.searchsorted(self.video_of[self.caption], np.arange(len(sizes) + 1))

    def by_video(self, values: np.ndarray) -> list[np.ndarray]:
        """Cuts values (captions,) into the videos as they were given."""
        parts = np.split(values, self.offsets[1:]) if len(self.sizes) else []
        given: list[np.ndarray] = [np.zeros(0)] * len(parts)
        for position, video in enumerate(self.arrangement):
            given[video] = parts[position].astype(np.float64)
        return given

    def most_in_others(self) -> np.ndarray:
        """(E,) the highest count of the n-gram in one other caption of the video."""
        if not len(self.count):
            return self.count
        highest = np.maximum.reduceat(self.count, self.group_starts)
        holds = self.count == highest[self.group]
        holders = np.add.reduceat(holds.astype(np.int64), self.group_starts)
        second = np.maximum.reduceat(np.where(holds, 0, self.count), self.group_starts)
        alone = holds & (holders[self.group] == 1)
        return np.where(alone, second[self.group], highest[self.group])


class _ColumnIdf:
    """Squared idf (W,) of a column: its own captions hold no document's n-gram."""

    def __init__(self, corpus: _Corpus) -> None:
        grams = corpus.gram[corpus.group_starts]
        self.log_documents = np.log(max(1, len(corpus.sizes)))
        self.frequency = np.bincount(grams, minlength=corpus.num_grams)
        single = corpus.group_sizes == 1
        entries = corpus.group_starts[single]
        columns = (corpus.caption - corpus.offsets[corpus.video_of[corpus.caption]])[entries]
        order = np.argsort(columns, kind="stable")
        self.lost, self.bounds = (
            grams[single][order],
            np.searchsorted(columns[order], np.arange(columns.max(initial=0) + 2)),
        )
        self.full = self._squared(self.frequency)

    def __call__(self, column: int) -> np.ndarray:
        if column + 1 >= len(self.bounds):
            return self.full
        lost, times = np.unique(self.lost[self.bounds[column] : self.bounds[column + 1]], return_counts=True)
        squared = self.full.copy()
        squared[lost] = self._squared(self.frequency[lost] - times)
        return squared

    def _squared(self, frequency: np.ndarray) -> np.ndarray:
        return (self.log_documents - np.log(np.maximum(1.0, frequency))) ** 2


def _cider_column(corpus: _Corpus, column: int, videos: int, squared_idf: np.ndarray) -> np.ndarray:
    """CIDEr (videos,) of caption `column` of the first `videos` videos."""
    entries = slice(0, int(corpus.entry_offsets[videos]))
    captions = int(corpus.offsets[videos - 1] + corpus.sizes[videos - 1])
    caption, count, order = corpus.caption[entries], corpus.count[entries], corpus.order[entries]
    weight = squared_idf[corpus.gram[entries]]
    slots = captions * ngrams.MAX_ORDER
    slot = caption * ngrams.MAX_ORDER + order
    norms = np.sqrt(np.bincount(slot, count**2 * weight, slots))

    hypothesis = corpus.offsets[corpus.video_of[caption]] + column
    own = np.flatnonzero(caption == hypothesis)  # the hypotheses' n-grams; all entries of their groups are met
    sizes = corpus.group_sizes[corpus.group[own]]
    first = corpus.group_starts[corpus.group[own]]
    met = np.arange(sizes.sum()) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
    mine = np.repeat(own, sizes)
    products = np.bincount(slot[met], np.minimum(count[mine], count[met]) * count[met] * weight[met], slots)

    hypothesis_of = corpus.offsets[corpus.video_of[:captions]] + column  # (captions,) whom each is a reference of
    norms = norms.reshape(-1, ngrams.MAX_ORDER)
    divisor = norms * norms[hypothesis_of]
    cosines = np.divide(products.reshape(norms.shape), divisor, out=np.zeros_like(norms), where=divisor != 0)
    bigrams = np.maximum(corpus.lengths[:captions] - 1, 0)
    similarity = cosines.sum(1) * np.exp(-((bigrams - bigrams[hypothesis_of]) ** 2) / (2 * SIGMA**2))
    similarity[corpus.offsets[:videos] + column] = 0  # itself
    totals = np.bincount(corpus.video_of[:captions], similarity, videos)
    return SCALE / ngrams.MAX_ORDER * totals / np.maximum(corpus.sizes[:videos] - 1, 1)


def _closest(lengths: np.ndarray) -> np.ndarray:
    """For each caption the length of the others' that is closest to its own, the shorter of two."""
    if len(lengths) < 2:
        return lengths.astype(np.int64)
    rank = np.abs(lengths[None] - lengths[:, None]) * (lengths.max() + 1) + lengths[None]
    np.fill_diagonal(rank, np.iinfo(np.int64).max)
    return lengths[rank.argmin(1)]


def _rouge_video(captions: list[list[str]]) -> np.ndarray:
    lengths = np.array([len(words) for words in captions], np.float64)
    if len(captions) < 2:
        return np.zeros(len(captions))
    common = longest_common_subsequences(captions).astype(np.float64)
    np.fill_diagonal(common, -1)
    return rouge_l_score((common / lengths[:, None]).max(1), (common / lengths).max(1))


def longest_common_subsequences(sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """Length of the longest common subsequence of every two sentences, int64 (G, G)."""
    subsequences = CommonSubsequences(sentences)
    return np.array([subsequences.lengths(words) for words in sentences])
