"""The references of CIDEr-D as flat sorted tables, built once on the host.

A caption is then scored by two binary searches (n-gram -> idf; video and n-gram -> the references that
hold it) and segment sums; `ciderd.py` does that in numpy and in a TensorFlow graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glrg_tf.errors import AnnotationError, DataError
from glrg_tf.metrics import ngrams

SIGMA = 6.0  # standard deviation of the length penalty, in bigrams
SCALE = 10.0  # CIDEr-D is written ten times the cosine
END, START = 0, 1  # token ids
SENTINEL = np.iinfo(np.int64).max  # closes every sorted table, so that a search never runs off its end


@dataclass(frozen=True)
class ReferenceTables:
    """W distinct n-grams, P pairs (video, n-gram), E postings, R videos.

    The postings of a pair are its references, those of equal n-gram count and length added into one.
    """

    ngram_keys: np.ndarray  # int64 (W+1,), sorted, closed by SENTINEL
    squared_idf: np.ndarray  # float64 (W+1,), the last is that of an n-gram never seen
    pair_keys: np.ndarray  # int64 (P+1,), video row · (W+1) + n-gram index, sorted, closed by SENTINEL
    pair_starts: np.ndarray  # int32 (P+2,), first posting of each pair; the sentinel has none
    posting_values: np.ndarray  # float64 (E,), Σ count · idf² / norm of the reference at that order
    posting_counts: np.ndarray  # int32 (E,), occurrences of the n-gram in the reference
    posting_lengths: np.ndarray  # int32 (E,), bigrams of the reference
    reference_counts: np.ndarray  # int32 (R,), references of each video

    @property
    def nbytes(self) -> int:
        """Bytes of all tables on the host."""
        return sum(array.nbytes for array in vars(self).values())


@dataclass(frozen=True)
class Grams:
    """Distinct n-grams (W,) and, per reference, those it holds (E,) with their counts."""

    keys: np.ndarray  # int64 (W,), packed; -1 where an id does not fit
    orders: np.ndarray  # int64 (W,), n - 1
    gram: np.ndarray  # int64 (E,)
    reference: np.ndarray  # int64 (E,)
    count: np.ndarray  # int64 (E,)


def build_tables(
    references: Sequence[Sequence[Sequence[int]]],
    document_frequency: Mapping[tuple, float] | None = None,
    num_documents: float | None = None,
) -> ReferenceTables:
    """Builds the tables.

    Args:
        references: references[v] = token id lists of video row v, each with its end token if that counts.
        document_frequency: videos that hold an n-gram, by tuple of ids (or of decimal strings, as in the
            release's ciderdf files); by default counted in `references`.
        num_documents: the N of the idf; by default the number of videos.

    Raises:
        AnnotationError: no references, a video without any, or a negative id.
        DataError: document frequencies that are malformed or exceed the number of documents.
    """
    sizes = np.fromiter(map(len, references), np.int64, len(references))
    if not sizes.size or not sizes.min():
        empty = f"video row {int(np.argmin(sizes))}" if sizes.size else None
        raise AnnotationError("CIDEr-D needs a reference caption for every video", where=empty)
    ids, lengths = ngrams.flatten(list(itertools.chain.from_iterable(references)))
    if ids.size and ids.min() < 0:
        raise AnnotationError("a reference holds a negative token id", remedy="encode captions with a vocabulary")
    grams = count_references(ids, lengths)
    videos = np.repeat(np.arange(len(sizes)), sizes)
    documents = float(len(sizes) if num_documents is None else num_documents)
    if document_frequency is None:
        held = ngrams.distinct(videos[grams.reference] * (len(grams.keys) + 1) + grams.gram) % (len(grams.keys) + 1)
        frequency = np.bincount(held, minlength=len(grams.keys)).astype(np.float64)
        known = (grams.keys, frequency)
    else:
        known = _packed_frequency(document_frequency)
        frequency = _look_up(*known, grams.keys)
    if documents < 1 or max(frequency.max(initial=0), known[1].max(initial=0)) > documents:
        raise DataError(
            f"an n-gram occurs in more than the {documents:g} documents there are",
            remedy="pass the num_documents (ref_len) that belongs to the document frequencies",
        )
    return _assemble(grams, videos, lengths, sizes, frequency, known, documents)


def count_references(ids: np.ndarray, lengths: np.ndarray) -> Grams:
    """Numbers the n-grams order by order, (number of the first n-1 ids, last id) -> number, whatever the ids' size.

    Args:
        ids: int64 (ΣL,) ids of all sentences, end to end.
        lengths: int64 (R,) ids of each sentence.
    """
    reference_of = np.repeat(np.arange(len(lengths)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(ids))  # tokens from here to the sentence's end
    base = int(ids.max(initial=0)) + 1
    number = np.zeros(len(ids), np.int64)
    keys, orders, gram, reference, offset = [], [], [], [], 0
    for order in range(1, ngrams.MAX_ORDER + 1):
        starts = np.flatnonzero(left >= order)
        code = number[starts] * base + ids[starts + order - 1]
        distinct, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        number = np.zeros(len(ids), np.int64)
        number[starts] = inverse
        keys.append(ngrams.pack_columns([ids[starts[first] + i] for i in range(order)]))
        orders.append(np.full(len(distinct), order - 1))
        gram.append(inverse + offset)
        reference.append(reference_of[starts])
        offset += len(distinct)
    held, count = np.unique(np.concatenate(reference) * max(offset, 1) + np.concatenate(gram), return_counts=True)
    return Grams(np.concatenate(keys), np.concatenate(orders), held % max(offset, 1), held // max(offset, 1), count)


def _packed_frequency(table: Mapping[tuple, float]) -> tuple[np.ndarray, np.ndarray]:
    try:
        keys = [ngrams.pack_ngram([int(word) for word in ngram]) for ngram in table]
        values = np.fromiter(table.values(), np.float64, len(table))
    except (TypeError, ValueError) as error:
        raise DataError(f"malformed document frequencies ({error})", remedy="keys are tuples of 1 to 4 ids") from error
    if None in keys or not np.isfinite(values).all() or any(not 1 <= len(ngram) <= ngrams.MAX_ORDER for ngram in table):
        raise DataError("malformed document frequencies", remedy="keys are tuples of 1 to 4 ids below 32768")
    packed = np.array(keys, np.int64)
    order = np.argsort(packed, kind="stable")
    return packed[order], values[order]


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values (W,) of `wanted` in the sorted `keys`; 0 where absent."""
    if not len(keys):
        return np.zeros(len(wanted))
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[index] == wanted, values[index], 0.0)


def _assemble(
    grams: Grams,
    videos: np.ndarray,
    lengths: np.ndarray,
    sizes: np.ndarray,
    frequency: np.ndarray,
    known: tuple[np.ndarray, np.ndarray],
    documents: float,
) -> ReferenceTables:
    squared_idf = _squared_idf(frequency, documents)
    orders = grams.orders[grams.gram]
    slot = grams.reference * ngrams.MAX_ORDER + orders
    norm = np.sqrt(np.bincount(slot, grams.count**2 * squared_idf[grams.gram], len(lengths) * ngrams.MAX_ORDER))
    value = grams.count * squared_idf[grams.gram] / np.maximum(norm[slot], np.finfo(np.float64).tiny)

    # What holds an id above the packed range can never be met in a caption; it has done its part in the norms.
    searched = ngrams.distinct(np.concatenate([known[0], grams.keys]))
    searched = searched[searched >= 0]
    searched_idf = _squared_idf(_look_up(*_sorted(*known), searched), documents)
    kept = grams.keys[grams.gram] >= 0
    index = np.searchsorted(searched, grams.keys)[grams.gram[kept]]
    pair = videos[grams.reference[kept]] * (len(searched) + 1) + index
    bigrams = np.maximum(lengths - 1, 0)[grams.reference[kept]]
    pair, count, bigrams, value = _merge(pair, grams.count[kept], bigrams, value[kept])
    first = np.flatnonzero(np.diff(pair, prepend=-1))
    return ReferenceTables(
        ngram_keys=np.append(searched, SENTINEL),
        squared_idf=np.append(searched_idf, np.log(documents) ** 2),
        pair_keys=np.append(pair[first], SENTINEL),
        pair_starts=np.concatenate([first, [len(pair)] * 2]).astype(np.int32),
        posting_values=value,
        posting_counts=count.astype(np.int32),
        posting_lengths=bigrams.astype(np.int32),
        reference_counts=sizes.astype(np.int32),
    )


def _squared_idf(frequency: np.ndarray, documents: float) -> np.ndarray:
    return (np.log(documents) - np.log(np.maximum(1.0, frequency))) ** 2


def _sorted(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(keys, kind="stable")
    return keys[order], values[order]


def _merge(pair: np.ndarray, count: np.ndarray, bigrams: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sorts the postings by (pair, count, bigrams) and adds up the values of equal ones."""
    order = np.lexsort((bigrams, count, pair))
    pair, count, bigrams, value = pair[order], count[order], bigrams[order], value[order]
    if not len(pair):
        return pair, count, bigrams, value
    new = (np.diff(pair, prepend=-1) != 0) | (np.diff(count, prepend=-1) != 0) | (np.diff(bigrams, prepend=-1) != 0)
    starts = np.flatnonzero(new)
    return pair[starts], count[starts], bigrams[starts], np.add.reduceat(value, starts)
