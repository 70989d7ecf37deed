"""Leave-one-out consensus scores: the release's files, pycocoevalcap column by column, and the cache."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from glrg_tf.errors import AnnotationError, ConfigError
from glrg_tf.io.foreign import read_pickle
from glrg_tf.metrics import consensus, leave_one_out
from tests.metrics.captions import made_captions


def ragged_captions():
    captions = made_captions(9, 6)
    captions[2] = captions[2][:3]
    captions[5] = [*captions[5], "a man", "", "A Man , a man"]
    captions[7] = captions[7][:2]
    return captions


def column_by_column(captions, scorer):
    """As the release: one run a column. Videos without that column are documents only."""
    scores = [np.zeros(len(texts)) for texts in captions]
    for column in range(max(map(len, captions))):
        references = {v: texts[:column] + texts[column + 1 :] for v, texts in enumerate(captions)}
        results = {v: [texts[column] if column < len(texts) else "nothing"] for v, texts in enumerate(captions)}
        _, values = scorer(references, results)
        for video, texts in enumerate(captions):
            if column < len(texts):
                scores[video][column] = values[video]
    return scores


def scorer_of(metric):
    if metric == "CIDEr":
        from pycocoevalcap.cider.cider import Cider

        return Cider().compute_score
    if metric == "ROUGE_L":
        from pycocoevalcap.rouge.rouge import Rouge

        return Rouge().compute_score
    from pycocoevalcap.bleu.bleu import Bleu

    def bleu_4(references, results):
        corpus, each = Bleu(4).compute_score(references, results, verbose=0)
        return corpus[3], each[3]

    return bleu_4


@pytest.mark.parametrize(
    ("split", "metric"),
    # METEOR of the 6,940 train captions takes half a minute, and the val file shows the same.
    [("train", "CIDEr"), ("train", "Bleu_4"), ("train", "ROUGE_L"), *[("val", metric) for metric in consensus.METRICS]],
)
def test_reproduces_the_release(shared, split, metric):
    folder = shared / "data/glrg_release_sample/data/metadata"
    captions: dict = {}
    for annotation in json.loads((folder / f"msrvtt_{split}_cocofmt.json").read_text())["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    expected = read_pickle(folder / f"msrvtt_{split}_evalscores.pkl")[metric]
    scores = consensus.consensus_scores([captions[video] for video in sorted(captions)], metric)
    np.testing.assert_allclose(np.stack(scores), expected, atol=1e-6 if metric == "METEOR" else 1e-9)


@pytest.mark.parametrize("metric", ["CIDEr", "Bleu_4", "ROUGE_L"])
@pytest.mark.parametrize("captions", [made_captions(), ragged_captions()], ids=["even", "ragged"])
def test_equals_pycocoevalcap_column_by_column(metric, captions):
    expected = column_by_column(captions, scorer_of(metric))
    scores = consensus.consensus_scores(captions, metric)
    assert [len(values) for values in scores] == [len(texts) for texts in captions]
    np.testing.assert_allclose(np.concatenate(scores), np.concatenate(expected), atol=1e-12)


def test_meteor_of_a_repeated_caption_is_what_meteor_says():
    from glrg_tf.metrics import meteor

    captions = [["a man runs", "a man runs", "the dog"], ["", ""]]
    scores = consensus.consensus_scores(captions, "METEOR")
    hypotheses = [text for texts in captions for text in texts]
    others = [texts[:i] + texts[i + 1 :] for texts in captions for i in range(len(texts))]
    np.testing.assert_array_equal(np.concatenate(scores), meteor.score(hypotheses, others).segments)


@pytest.mark.parametrize("metric", consensus.METRICS)
def test_a_video_with_one_caption_gets_a_neutral_weight(metric):
    captions = [
        ["a man runs fast"],
        ["a dog runs in a park", "a dog runs in the park"],
        ["a man sings", "the man sings"],
    ]
    alone, *others = consensus.consensus_scores(captions, metric)
    assert alone.tolist() == [pytest.approx(np.concatenate(others).mean())] and alone[0] > 0
    assert consensus.consensus_scores([["a man"], ["a dog"]], metric)[0].tolist() == [1.0]
    assert consensus.consensus_scores([], metric) == []


def test_longest_common_subsequences():
    rng = np.random.default_rng(0)
    sentences = [list(rng.choice(list("abcd"), length)) for length in (0, 1, 5, 9, 70, 130)]

    def plain(first, second):
        lengths = np.zeros((len(first) + 1, len(second) + 1), int)
        for i, a in enumerate(first):
            for j, b in enumerate(second):
                lengths[i + 1, j + 1] = lengths[i, j] + 1 if a == b else max(lengths[i, j + 1], lengths[i + 1, j])
        return lengths[-1, -1]

    expected = [[plain(a, b) for b in sentences] for a in sentences]
    assert leave_one_out.longest_common_subsequences(sentences).tolist() == expected


def test_refusals():
    with pytest.raises(ConfigError, match="SPICE"):
        consensus.consensus_scores([["a"]], "SPICE")
    with pytest.raises(AnnotationError, match="no captions"):
        consensus.consensus_scores([["a"], []], "CIDEr")


# === The cache ===
@pytest.fixture
def calls(monkeypatch):
    made = []
    score = leave_one_out.cider
    monkeypatch.setattr(leave_one_out, "cider", lambda captions: made.append(1) or score(captions))
    return made


def test_cache_is_written_once_and_read(tmp_path, calls):
    captions = ragged_captions()
    first = consensus.cached_consensus(captions, "CIDEr", tmp_path / "consensus")
    second = consensus.cached_consensus(captions, "CIDEr", tmp_path / "consensus")
    assert len(calls) == 1 and all(map(np.array_equal, first, second))
    assert [file.name[:6] for file in (tmp_path / "consensus").iterdir()] == ["CIDEr-"]
    captions[0][0] += " today"
    consensus.cached_consensus(captions, "CIDEr", tmp_path / "consensus")
    assert len(calls) == 2


def test_grouping_is_part_of_the_content():
    assert consensus.captions_sha256([["a", "b"], ["c"]]) != consensus.captions_sha256([["a"], ["b", "c"]])


def damage_truncate(file):
    file.write_bytes(file.read_bytes()[:-30])


def damage_text(file):
    file.write_text("scores")


def damage_shape(file):
    np.savez(file, scores=np.zeros(3), sizes=np.array([3]))


def damage_values(file):
    with np.load(file) as content:
        np.savez(file, scores=content["scores"] * np.nan, sizes=content["sizes"])


def damage_objects(file):
    np.savez(file, scores=np.array([{}], object), sizes=np.array([1]))


def damage_bomb(file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scores.npy", bytes(10**7))


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_text, damage_shape, damage_values, damage_objects, damage_bomb]
)
def test_a_damaged_cache_is_made_again(tmp_path, calls, damage):
    captions = made_captions()
    expected = consensus.cached_consensus(captions, "CIDEr", tmp_path)
    file = next(tmp_path.iterdir())
    sound = file.read_bytes()
    damage(file)
    scores = consensus.cached_consensus(captions, "CIDEr", tmp_path)
    assert len(calls) == 2 and all(map(np.array_equal, scores, expected)) and file.read_bytes() == sound


def test_a_folder_that_cannot_be_written(tmp_path, calls):
    (tmp_path / "file").write_text("in the way")
    scores = consensus.cached_consensus(made_captions(), "CIDEr", tmp_path / "file")
    assert len(scores) == 7 and len(consensus.cached_consensus(made_captions(), "CIDEr", None)) == 7


def test_imported_scores_win_when_every_caption_has_one(calls):
    captions = [["a b", "a c"], ["d"]]
    scores = consensus.cached_consensus(captions, "CIDEr", None, imported=[[0.5, 0.25], [2.0]])
    assert [values.tolist() for values in scores] == [[0.5, 0.25], [2.0]] and not calls
    for imported in ([[0.5, 0.25], []], [[0.5, 0.25]], [[0.5, float("nan")], [1.0]]):
        assert consensus.cached_consensus(captions, "CIDEr", None, imported=imported)[0][0] != 0.5


@pytest.mark.parametrize("metric", ["CIDEr", "METEOR"])
def test_progress_counts_every_caption(metric):
    told = []
    consensus.consensus_scores(made_captions(50), metric, lambda done, total: told.append((done, total)))
    assert told[-1] == (250, 250) and told == sorted(told) and len(told) == (2 if metric == "METEOR" else 1)
