"""The vocabulary: building, encoding as the release, and refusing what is no word list."""

from __future__ import annotations

import json
import pathlib

import h5py
import numpy as np
import pytest

from glrg_tf.errors import DataError
from glrg_tf.text.tokenizer import ReleaseTokenizer
from glrg_tf.text.vocabulary import Vocabulary

SPECIAL = ["<end>", "<start>", "<unk>"]


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary([*SPECIAL, "a", "man", "runs"])


def test_build_keeps_frequent_words_by_count_then_alphabet() -> None:
    tokens = [["b", "a", "c"], ["a", "b", "d"], ["b", "a", "c"], ["c", "<end>", "<end>", "<end>"]]
    assert Vocabulary.build(tokens, min_count=3).words == (*SPECIAL, "a", "b", "c")
    assert Vocabulary.build(tokens, min_count=1).words == (*SPECIAL, "a", "b", "c", "d")


def test_encode_and_decode(vocabulary: Vocabulary) -> None:
    row = vocabulary.encode(["a", "man", "sings"], max_length=6)
    assert row.dtype == np.int32
    assert row.tolist() == [1, 3, 4, 2, 0, 0]
    assert vocabulary.decode(row) == ["a", "man", "<unk>"]
    assert vocabulary.decode([3, 0, 4]) == ["a"]
    assert vocabulary.encode([], max_length=3).tolist() == [1, 0, 0]
    assert vocabulary.encode(["a"] * 50).tolist() == [1] + [3] * 29  # clipped captions lose <end>, as in the release
    assert len(vocabulary) == 6
    assert vocabulary.id_of("man") == 4
    assert vocabulary.id_of("elephant") == Vocabulary.UNK
    assert "man" in vocabulary
    assert "elephant" not in vocabulary


def test_decode_refuses_ids_of_another_vocabulary(vocabulary: Vocabulary) -> None:
    for ids in ([3, 6], [-1]):
        with pytest.raises(DataError, match="outside the vocabulary"):
            vocabulary.decode(ids)


def test_save_and_load(vocabulary: Vocabulary, tmp_path: pathlib.Path) -> None:
    other = Vocabulary([*SPECIAL, "\u72ac"], tokenizer="unicode")
    for value in (vocabulary, other):
        value.save(tmp_path / "v.json")
        assert Vocabulary.load(tmp_path / "v.json") == value
        assert Vocabulary.load_release(tmp_path / "v.json") == value
    assert json.loads((tmp_path / "v.json").read_text("utf-8")) == {
        "words": [*SPECIAL, "\u72ac"],
        "tokenizer": "unicode",
    }
    assert len({vocabulary, other, Vocabulary(vocabulary.words)}) == 2


def test_release_list_and_label_file(vocabulary: Vocabulary, tmp_path: pathlib.Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps(list(vocabulary.words)))
    with h5py.File(tmp_path / "l.h5", "w") as handle:
        handle["vocab"] = np.array(vocabulary.words, "S")
    assert Vocabulary.load_release(tmp_path / "v.json") == vocabulary
    assert Vocabulary.load_release(tmp_path / "l.h5") == vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'["a", "man"]', "begins with <end>"),
        (b"[]", "with nothing"),
        (b'["<end>", "<start>", "<unk>", "a", "a"]', "'a' occurs twice"),
        (b'["<end>", "<start>", "<unk>", ""]', "no word"),
        (b'["<end>", "<start>", "<unk>", "a b"]', "no word"),
        (b'["<end>", "<start>", "<unk>", 7]', "no word"),
        (b'["<end>", "<start>", "<unk>", ["a"]]', "no word"),
        (b'{"word": []}', "no list 'words'"),
        (b'{"words": {"a": 1}}', "no list 'words'"),
        (b"3", "no list 'words'"),
        (b'["<end>", "<start>"', "not valid JSON"),
        (b"[" * 100000, "nested too deeply"),
        (b"\xff\xfe", "not utf-8"),
    ],
)
def test_what_is_no_vocabulary_is_refused(content: bytes, message: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "v.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as refusal:
        Vocabulary.load_release(path)
    assert refusal.value.remedy
    assert "v.json" in str(refusal.value)


def test_a_missing_file_and_a_file_without_vocabulary_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        Vocabulary.load(tmp_path / "none.json")
    with h5py.File(tmp_path / "l.h5", "w") as handle:
        handle["vocab"] = np.zeros(3)
        handle["words"] = np.array(["a"], "S")
    with pytest.raises(DataError, match="expected text"):
        Vocabulary.load_release(tmp_path / "l.h5")


def test_real_captions_give_the_release_words_and_labels(shared: pathlib.Path) -> None:
    metadata = shared / "data/glrg_release_sample/data/metadata"
    annotations = json.loads((metadata / "msrvtt_train_cocofmt.json").read_text())["annotations"]
    tokens = [ReleaseTokenizer()(annotation["caption"]) for annotation in annotations]
    release = Vocabulary.load_release(metadata / "msrvtt_train_vocab.json")
    built = Vocabulary.build(tokens, min_count=3)
    assert len(built) == 1944
    assert set(built.words) == set(release.words)
    with h5py.File(metadata / "msrvtt_train_sequencelabel.h5") as handle:
        labels, lengths = handle["labels"][()], handle["label_length"][()]
    ours = np.stack([release.encode(words) for words in tokens])
    np.testing.assert_array_equal(ours, labels)
    np.testing.assert_array_equal([min(30, len(words) + 2) for words in tokens], lengths)
    assert Vocabulary.load_release(metadata / "msrvtt_train_sequencelabel.h5") == release
