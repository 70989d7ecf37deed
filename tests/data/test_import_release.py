"""The GL-RG release's own layout: captions, scores, labels, vocabularies and pickles that must agree."""

from __future__ import annotations

import json
import os
import pathlib
import pickle
import shutil
from collections import defaultdict
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.importers import ImportOptions, import_dataset
from glrg_tf.data.verify import verify
from glrg_tf.errors import DataError
from glrg_tf.text.tokenizer import ReleaseTokenizer
from glrg_tf.text.vocabulary import Vocabulary
from tests.data import made

SPLITS = {"train": (0, 3), "val": (1200, 2)}  # MSVD: offset, videos
COLUMNS = 2
METRICS = ("CIDEr", "Bleu_4", "METEOR", "ROUGE_L")


def captions_of(number: int) -> list[str]:
    """Two to four captions: more than the scores have columns, as in MSVD."""
    return [f"a man plays with ball {n}" for n in range(2 + number % 3)]


@pytest.fixture
def release(tmp_path: pathlib.Path) -> pathlib.Path:
    """A release of five MSVD videos, scores of the first two captions each."""
    root = tmp_path / "release"
    for split, (offset, count) in SPLITS.items():
        captions = {offset + row: captions_of(offset + row) for row in range(count)}
        stem = root / "data/metadata" / f"msvd_{split}"
        made.write_json(stem.with_name(stem.name + "_cocofmt.json"), made.coco(captions))
        tokens = [ReleaseTokenizer()(text) for texts in captions.values() for text in texts]
        vocabulary = Vocabulary.build(tokens)
        made.write_json(stem.with_name(stem.name + "_vocab.json"), list(vocabulary.words))
        write_labels(stem.with_name(stem.name + "_sequencelabel.h5"), captions, vocabulary, tokens)
        scores = {metric: np.arange(count * COLUMNS, dtype=np.float64).reshape(count, COLUMNS) for metric in METRICS}
        stem.with_name(stem.name + "_evalscores.pkl").write_bytes(pickle.dumps(scores, 2))
        counts = defaultdict(float, {("3",): float(count), ("3", "4"): 1.0})
        frequency = {"ref_len": count, "document_frequency": counts}
        stem.with_name(stem.name + "_ciderdf.pkl").write_bytes(pickle.dumps(frequency, 2))
        made.release_features(root / "data/feature" / f"msvd_{split}_gl_feats.h5", None, rows=count)
    return root


def write_labels(
    path: pathlib.Path, captions: dict[int, list[str]], vocabulary: Vocabulary, tokens: list[list[str]]
) -> None:
    bounds = np.cumsum([0, *map(len, captions.values())])
    with h5py.File(path, "w") as handle:
        handle["labels"] = np.stack([vocabulary.encode(words) for words in tokens]).astype(np.int64)
        handle["label_start_ix"], handle["label_end_ix"] = bounds[:-1], bounds[1:]
        handle["videos"] = np.array([str(number) for number in captions], "S")
        handle["vocab"] = np.array(vocabulary.words, "S")


def test_everything_is_taken_along(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    description = import_dataset("glrg-release", [release], tmp_path / "ds").description
    dataset = CaptionDataset.load(tmp_path / "ds")
    assert verify(tmp_path / "ds").problems == []
    assert dataset.name == "msvd"
    assert [record.id for record in dataset.records()] == ["vid1", "vid2", "vid3", "vid1201", "vid1202"]
    record = dataset.records("train")[2]
    assert record.captions == tuple(captions_of(2))
    assert {metric: record.scores[metric] for metric in METRICS} == dict.fromkeys(METRICS, (4.0, 5.0))
    assert (
        "msvd_train_evalscores.pkl covers the first 2 captions a video: 3 captions have no score"
        in description["notes"]
    )
    assert dataset.release_vocabulary == Vocabulary.load_release(release / "data/metadata/msvd_train_vocab.json")
    assert dataset.features is not None
    with h5py.File(release / "data/feature/msvd_val_gl_feats.h5") as handle:
        np.testing.assert_array_equal(dataset.features.read(["vid1202"])[0], handle["feats"][1])


def test_captions_from_datainfo_and_processed_tokens(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    wanted = import_and_read(release, tmp_path / "a")
    metadata = release / "data/metadata"
    coco = json.loads((metadata / "msvd_train_cocofmt.json").read_text())
    (metadata / "msvd_train_cocofmt.json").unlink()
    texts = [{"video_id": a["image_id"], "caption": a["caption"], "id": a["id"]} for a in coco["annotations"]]
    made.write_json(metadata / "msvd_train_datainfo.json", {"videos": coco["images"], "captions": texts})
    assert import_and_read(release, tmp_path / "b") == wanted
    (metadata / "msvd_train_datainfo.json").unlink()
    tokens = [{"video_id": n, "captions": captions_of(n), "processed_tokens": []} for n in range(3)]
    made.write_json(metadata / "msvd_train_proprocessedtokens.json", tokens)
    assert import_and_read(release, tmp_path / "c") == wanted


def import_and_read(source: pathlib.Path, out: pathlib.Path) -> list:
    import_dataset("glrg-release", [source], out)
    return CaptionDataset.load(out).records()


def test_blank_captions_leave_with_their_scores(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = release / "data/metadata/msvd_train_cocofmt.json"
    path.write_text(path.read_text().replace("a man plays with ball 0", "   ", 1))
    description = import_dataset("glrg-release", [release], tmp_path / "ds").description
    record = CaptionDataset.load(tmp_path / "ds").records()[0]
    assert record.captions == ("a man plays with ball 1",)
    assert record.scores["CIDEr"] == (1.0,)
    assert "train: 1 blank captions: dropped, with their scores" in description["notes"]
    assert any("1 of 9 label rows differ" in note for note in description["notes"])


def test_rows_follow_the_label_file(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    metadata = release / "data/metadata"
    numbers = [2, 0, 1]
    captions = {number: captions_of(number) for number in numbers}
    tokens = [ReleaseTokenizer()(text) for texts in captions.values() for text in texts]
    vocabulary = Vocabulary.load_release(metadata / "msvd_train_vocab.json")
    write_labels(metadata / "msvd_train_sequencelabel.h5", captions, vocabulary, tokens)
    records = {record.id: record for record in import_and_read(release, tmp_path / "ds")}
    assert [records[f"vid{number + 1}"].scores["CIDEr"] for number in numbers] == [(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)]


def test_two_data_sets_in_one_folder_need_a_choice(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    made.write_json(release / "data/metadata/msrvtt_train_cocofmt.json", made.coco({0: ["x"]}))
    with pytest.raises(DataError, match="two data sets"):
        import_dataset("glrg-release", [release], tmp_path / "ds")
    import_dataset("glrg-release", [release], tmp_path / "ds", ImportOptions(name="msvd"))
    assert len(CaptionDataset.load(tmp_path / "ds").records()) == 5


class Hostile:
    """Would make a file if it were unpickled."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


def _rewrite(name: str, change: Callable[[object], object]) -> Callable[[pathlib.Path], None]:
    def damage(metadata: pathlib.Path) -> None:
        path = metadata / name
        if name.endswith(".json"):
            path.write_text(json.dumps(change(json.loads(path.read_text()))))
        else:
            path.write_bytes(pickle.dumps(change(pickle.loads(path.read_bytes())), 2))  # our own file

    return damage


def _labels(key: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pathlib.Path], None]:
    def damage(metadata: pathlib.Path) -> None:
        with h5py.File(metadata / "msvd_train_sequencelabel.h5", "a") as handle:
            value = change(handle[key][()])
            del handle[key]
            handle[key] = value

    return damage


COCO, VOCAB = "msvd_train_cocofmt.json", "msvd_train_vocab.json"
SCORES, FREQUENCY, LABELS = "msvd_train_evalscores.pkl", "msvd_train_ciderdf.pkl", "msvd_train_sequencelabel.h5"
CONTRADICTIONS: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "id of another split": (_rewrite(COCO, lambda _: made.coco({1200: ["x"]})), "is not of the train split"),
    "listed twice": (_rewrite(COCO, lambda v: {**v, "images": v["images"] * 2}), "listed twice"),
    "unlisted": (_rewrite(COCO, lambda v: {**v, "images": v["images"][1:]}), "which is not listed"),
    "no videos": (_rewrite(COCO, lambda _: made.coco({})), "lists no videos"),
    "missing key": (_rewrite(COCO, lambda v: {"images": v["images"]}), "'annotations' is missing"),
    "not utf-8": (lambda m: (m / COCO).write_bytes(b'{"images": "\xff"}'), "not utf-8"),
    "cut json": (lambda m: (m / COCO).write_text((m / COCO).read_text()[:99]), "not valid JSON"),
    "other vocabulary": (_rewrite(VOCAB, lambda v: [*v[:-1], "other"]), "differs from the one that"),
    "no vocabulary": (_rewrite(VOCAB, lambda v: v[3:]), "begins with <end>"),
    "score rows": (_rewrite(SCORES, lambda v: {**v, "CIDEr": v["CIDEr"][1:]}), "2 rows of scores for 3 videos"),
    "score NaN": (_rewrite(SCORES, lambda v: {**v, "METEOR": v["METEOR"] * np.nan}), "not finite"),
    "score axes": (_rewrite(SCORES, lambda v: {**v, "METEOR": v["METEOR"][0]}), "not a matrix"),
    "score keys": (_rewrite(SCORES, lambda v: {"cider": v["CIDEr"]}), "no scores of"),
    "hostile": (lambda m: (m / SCORES).write_bytes(pickle.dumps(Hostile(m / "owned"))), "refused"),
    "cut pickle": (lambda m: (m / SCORES).write_bytes((m / SCORES).read_bytes()[:50]), "refused"),
    "count of videos": (_rewrite(FREQUENCY, lambda v: {**v, "ref_len": 9}), "counted over 9 videos"),
    "n-gram": (_rewrite(FREQUENCY, lambda v: {**v, "document_frequency": {"3": 1.0}}), "no n-gram"),
    "n-gram count": (_rewrite(FREQUENCY, lambda v: {**v, "document_frequency": {("3",): 99.0}}), "no n-gram"),
    "n-gram word": (_rewrite(FREQUENCY, lambda v: {**v, "document_frequency": {("99",): 1.0}}), "not of this vocab"),
    "no frequencies": (_rewrite(FREQUENCY, lambda v: {"ref_len": 3}), "no 'document_frequency'"),
    "label rows": (_labels("labels", lambda v: v[1:]), "do not belong to"),
    "label type": (_labels("labels", lambda v: v.astype(float)), "expected numbers|holds float64"),
    "label ranges": (_labels("label_start_ix", lambda v: v[::-1]), "do not belong to"),
    "label videos": (_labels("videos", lambda v: np.array([b"0", b"1", b"9"])), "or of others"),
    "label order": (_labels("videos", lambda v: v[::-1]), "do not belong to"),
    "cut labels": (lambda m: (m / LABELS).write_bytes((m / LABELS).read_bytes()[:900]), "not a whole HDF5"),
    "feature rows": (
        lambda m: made.release_features(m.parent / "feature/msvd_val_gl_feats.h5", None, rows=1),
        "no features",
    ),
    "feature width": (
        lambda m: made.release_features(
            m.parent / "feature/msvd_val_gl_feats.h5", None, feats=np.ones((2, 1300), "f4")
        ),
        "1300 wide",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_are_refused(case: str, release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    damage, message = CONTRADICTIONS[case]
    damage(release / "data/metadata")
    with pytest.raises(DataError, match=message) as refusal:
        import_dataset("glrg-release", [release], tmp_path / "ds")
    assert refusal.value.remedy
    assert refusal.value.exit_code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["release"]
    assert not (release / "data/metadata/owned").exists()


def test_no_release_files(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="no files of the GL-RG release"):
        import_dataset("glrg-release", [tmp_path], tmp_path / "ds")


# === The real sample ===
def test_real_release_sample(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    sample = shared / "data/glrg_release_sample"
    description = import_dataset("glrg-release", [sample], tmp_path / "ds").description
    assert description["notes"] == []
    dataset = CaptionDataset.load(tmp_path / "ds")
    assert {split: len(dataset.records(split)) for split in dataset.splits} == {"train": 347, "val": 50}
    assert all(len(record.scores[metric]) == 20 for record in dataset.records() for metric in METRICS)
    assert dataset.release_vocabulary is not None
    assert len(dataset.release_vocabulary) == 1944
    import_dataset("msrvtt", [shared / "data/msrvtt"], tmp_path / "other")
    other = CaptionDataset.load(tmp_path / "other")
    assert [record.captions for record in dataset.records()] == [record.captions for record in other.records()]
    assert dataset.features is not None
    assert other.features is not None
    np.testing.assert_array_equal(dataset.features.read(dataset.features.ids), other.features.read(other.features.ids))


def test_real_files_may_be_named_one_by_one(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    metadata = shared / "data/glrg_release_sample/data/metadata"
    shutil.copy(metadata / "msrvtt_val_cocofmt.json", tmp_path)
    import_dataset("glrg-release", [tmp_path / "msrvtt_val_cocofmt.json"], tmp_path / "ds")
    assert len(CaptionDataset.load(tmp_path / "ds").records("val")) == 50
