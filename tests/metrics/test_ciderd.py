"""In-graph CIDEr-D against the dictionary scorer and against pycocoevalcap's."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from glrg_tf.errors import AnnotationError, ConfigError, DataError
from glrg_tf.io.foreign import read_pickle
from glrg_tf.metrics.ciderd import CiderD, encode_references
from tests.metrics.captions import as_ids, disturbed, made_captions, real_captions
from tests.references.plain_ciderd import PlainCiderD

LENGTH = 28


def batch(references, captions_per_video=4, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.permutation(len(references))[:32], captions_per_video).astype(np.int32)
    return disturbed(references, rows, LENGTH, seed), rows


def in_graph(scorer):
    import tensorflow as tf

    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
    return tf.function(lambda token_ids, rows: scorer(token_ids, rows), input_signature=signature)


@pytest.mark.parametrize("use_eos", [True, False])
def test_equals_the_dictionary_scorer_on_made_captions(use_eos):
    references = as_ids(made_captions())
    token_ids, rows = batch(references, 40)
    expected = PlainCiderD(references, use_eos=use_eos)(token_ids, rows)
    scorer = CiderD.from_references(references, use_eos=use_eos)
    assert expected.max() > 1 and (expected == 0).any()
    np.testing.assert_allclose(scorer.score_numpy(token_ids, rows), expected, atol=1e-12)
    np.testing.assert_allclose(in_graph(scorer)(token_ids, rows), expected, atol=1e-5)


@pytest.mark.parametrize("use_eos", [True, False])
def test_equals_the_dictionary_scorer_on_real_captions(shared, use_eos):
    references = as_ids(real_captions(shared))
    token_ids, rows = batch(references, 20)
    expected = PlainCiderD(references, use_eos=use_eos)(token_ids, rows)
    scorer = CiderD.from_references(references, use_eos=use_eos)
    np.testing.assert_allclose(scorer.score_numpy(token_ids, rows), expected, atol=1e-12)
    np.testing.assert_allclose(in_graph(scorer)(token_ids, rows), expected, atol=1e-5)


def test_equals_pycocoevalcap():
    from pycocoevalcap.cider.cider import Cider

    captions = made_captions()
    references = as_ids(captions)
    predictions = [texts[0] + " a" for texts in captions]
    ids = as_ids([[*texts, prediction] for texts, prediction in zip(captions, predictions, strict=True)])
    token_ids = np.zeros((len(ids), LENGTH), np.int32)
    for row, texts in enumerate(ids):
        token_ids[row, : len(texts[-1])] = texts[-1]
    scorer = CiderD.from_references([texts[:-1] for texts in ids], use_eos=False)
    _, expected = Cider().compute_score(dict(enumerate(captions)), {i: [p] for i, p in enumerate(predictions)})
    np.testing.assert_allclose(scorer.score_numpy(token_ids, np.arange(len(references))), expected, atol=1e-12)


def test_worked_by_hand():
    # Two videos, one reference each, no end token: every n-gram of "5 6" has idf ln 2; half the orders are empty.
    scorer = CiderD.from_references([[[5, 6]], [[7, 8]]], use_eos=False)
    scores = scorer.score_numpy(np.array([[5, 6, 0], [5, 0, 0], [9, 0, 0], [0, 0, 0]]), np.zeros(4, int))
    one_word = 10 / 4 * (1 / np.sqrt(2)) * np.exp(-1 / 72)
    np.testing.assert_allclose(scores, [10 / 4 * 2, one_word, 0, 0])


def test_end_token_start_token_and_padding():
    references = [[[5, 6, 7], [5, 8]], [[9, 9]]]
    scorer = CiderD.from_references(references)
    rows = np.zeros(3, np.int32)
    same = np.array([[5, 6, 7, 0, 0, 0], [1, 5, 6, 7, 0, 9], [5, 1, 6, 7, 0, 1]], np.int32)
    expected = np.repeat(PlainCiderD(references)(same[:1], rows[:1]), 3)
    np.testing.assert_allclose(scorer(same, rows), expected, rtol=1e-6)
    np.testing.assert_allclose(scorer(np.pad(same, ((0, 0), (0, 20))), rows), expected, rtol=1e-6)
    # Cut by the length limit, a caption has no end token; a skipped start must not invent one.
    unfinished = np.array([[5, 6, 7], [1, 5, 6]], np.int32)
    expected = PlainCiderD(references)(unfinished, rows[:2])
    np.testing.assert_allclose(scorer(unfinished, rows[:2]), expected, rtol=1e-6)
    label_rows = [[[1, 5, 6, 7, 0, 0], [1, 5, 8, 0, 0, 0]], [[1, 9, 9, 0, 0, 0]]]
    np.testing.assert_array_equal(CiderD.from_references(label_rows)(same, rows), scorer(same, rows))


def test_all_empty_and_no_captions():
    scorer = CiderD.from_references([[[5, 6]], [[7]]], use_eos=False)
    assert in_graph(scorer)(np.zeros((3, 4), np.int32), np.zeros(3, np.int32)).numpy().tolist() == [0, 0, 0]
    assert in_graph(scorer)(np.zeros((0, 4), np.int32), np.zeros(0, np.int32)).shape == (0,)
    assert in_graph(scorer)(np.zeros((2, 0), np.int32), np.zeros(2, np.int32)).numpy().tolist() == [0, 0]


def test_inside_a_while_loop():
    import tensorflow as tf

    references = as_ids(made_captions())
    token_ids, rows = batch(references)
    scorer = CiderD.from_references(references)

    @tf.function
    def twice(token_ids, rows):
        body = lambda i, total: (i + 1, total + scorer(token_ids, rows))  # noqa: E731
        return tf.while_loop(lambda i, _: i < 2, body, (0, tf.zeros([tf.shape(rows)[0]])))[1]

    np.testing.assert_allclose(twice(token_ids, rows), 2 * scorer.score_numpy(token_ids, rows), atol=1e-5)


@pytest.mark.parametrize("use_eos", [True, False])
@pytest.mark.parametrize("jit_compile", [True, False])
def test_compiled_form(use_eos, jit_compile):
    import tensorflow as tf

    references = as_ids(made_captions())
    token_ids, rows = batch(references, 10)
    scorer = CiderD.from_references(references, use_eos=use_eos)
    compiled = tf.function(lambda token_ids, rows: scorer.compiled(token_ids, rows), jit_compile=jit_compile)
    scores = compiled(tf.constant(token_ids), tf.constant(rows))
    np.testing.assert_allclose(scores, scorer.score_numpy(token_ids, rows), atol=1e-5)


def test_document_frequencies_of_the_release(shared):
    folder = shared / "data/glrg_release_sample/data/metadata"
    with h5py.File(folder / "msrvtt_val_sequencelabel.h5") as file:
        labels, starts, ends = (file[name][:] for name in ("labels", "label_start_ix", "label_end_ix"))
    given = read_pickle(folder / "msrvtt_val_ciderdf.pkl")
    table, videos = given["document_frequency"], given["ref_len"]
    references = [labels[start:end].tolist() for start, end in zip(starts, ends, strict=True)]
    rows = np.arange(len(references), dtype=np.int32)
    token_ids = np.roll(labels[starts], 1, axis=0)[:, 1:].astype(np.int32)
    expected = PlainCiderD(references, document_frequency=table, num_documents=videos)(token_ids, rows)
    scorer = CiderD.from_references(references, document_frequency=table, num_documents=videos)
    np.testing.assert_allclose(scorer(token_ids, rows), expected, atol=1e-5)


def test_one_trace_for_all_sizes():
    import tensorflow as tf

    references = as_ids(made_captions())
    score = in_graph(CiderD.from_references(references))
    for count, length in [(4, 28), (640, 30), (1, 1)]:
        token_ids = tf.constant(disturbed(references, np.zeros(count, int), length))
        score(token_ids, tf.zeros([count], tf.int32))
    assert score.experimental_get_tracing_count() == 1


def test_words_outside_the_vocabulary_keep_their_norms():
    class Words:
        UNK = 2

        def __len__(self):
            return 6

        def id_of(self, word):
            return {"<end>": 0, "man": 3, "runs": 4, "dog": 5}.get(word, 2)

    captions = [["man runs outdoors", "man <end> runs"], ["dog sings", "dog runs"]]
    own = encode_references(captions, Words(), str.split)
    assert own == [[[3, 4, 6], [3, 7, 4]], [[5, 8], [5, 4]]]
    assert encode_references(captions, Words(), str.split, unknown="shared")[1] == [[5, 2], [5, 4]]
    token_ids = np.array([[3, 4, 2, 0]], np.int32)
    scorer = CiderD.from_references(own)
    expected = PlainCiderD(own)(token_ids, np.zeros(1, int))
    np.testing.assert_allclose(scorer(token_ids, np.zeros(1, np.int32)), expected, rtol=1e-6)


def test_ids_too_large_to_pack_change_nothing_but_their_spelling():
    small = as_ids(made_captions())
    huge = [[[token if token < 12 else token + 10**6 for token in c] for c in v] for v in small]
    token_ids, rows = batch(small, 10)
    token_ids[token_ids >= 12] = 2  # as a model would: these words are outside its vocabulary
    expected = PlainCiderD(small)(token_ids, rows)
    np.testing.assert_allclose(CiderD.from_references(huge).score_numpy(token_ids, rows), expected, atol=1e-12)


def test_document_frequencies_from_elsewhere():
    references = as_ids(made_captions())
    token_ids, rows = batch(references, 10)
    plain = PlainCiderD(references)
    given = {ngram: float(count) + 3 for ngram, count in plain.frequency.items()}
    given[("2",)] = 5.0  # in the table, in no reference
    expected = PlainCiderD(references, document_frequency=given, num_documents=40)(token_ids, rows)
    scorer = CiderD.from_references(references, document_frequency=given, num_documents=40)
    np.testing.assert_allclose(scorer.score_numpy(token_ids, rows), expected, atol=1e-12)
    np.testing.assert_allclose(scorer(token_ids, rows), expected, atol=1e-5)


@pytest.mark.parametrize("references", [[], [[[3]], []], [[[3, -4]]]])
def test_refuses_bad_references(references):
    with pytest.raises(AnnotationError):
        CiderD.from_references(references)


@pytest.mark.parametrize(
    "given",
    [{("a",): 1.0}, {(1, 2, 3, 4, 5): 1.0}, {(): 1.0}, {(3,): 9.0}, {(3,): float("nan")}, {(3,): "x"}, {3: 1.0}],
)
def test_refuses_bad_document_frequencies(given):
    with pytest.raises(DataError):
        CiderD.from_references([[[3]]], document_frequency=given, num_documents=4)


def test_refuses_unusable_vocabularies():
    with pytest.raises(ConfigError, match="32768"):
        encode_references([["a"]], range(40_000), str.split)
    with pytest.raises(ConfigError, match="mine"):
        encode_references([["a"]], range(4), str.split, unknown="mine")
