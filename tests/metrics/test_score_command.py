"""`glrg score` as a user meets it."""

from __future__ import annotations

import json

import pytest

from glrg_cli.main import main
from glrg_tf.errors import AnnotationError
from glrg_tf.metrics import coco_files

REFERENCES = {
    "images": [{"id": 1}, {"id": 2}, {"id": 3}],
    "annotations": [
        {"id": 0, "image_id": 1, "caption": "A man is singing."},
        {"id": 1, "image_id": 1, "caption": "a man sings on a stage"},
        {"id": 2, "image_id": 2, "caption": "a dog runs in the park"},
        {"id": 3, "image_id": 3, "caption": "two women are cooking"},
    ],
}
RESULTS = [
    {"image_id": 3, "caption": "two women are cooking food"},
    {"image_id": "1", "caption": "a man is singing a song"},
    {"image_id": 2, "caption": "a dog is running"},
]


@pytest.fixture
def files(tmp_path):
    def write(references=REFERENCES, results=RESULTS):
        arguments = ["score"]
        for name, content in (("references", references), ("predictions", results)):
            path = tmp_path / f"{name}.json"
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
            arguments += [f"--{name}", str(path)]
        return arguments

    return write


def test_table_and_json(files, capsys):
    assert main([*files(), "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert list(result["scores"]) == ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr"]
    assert result["predictions"][0] == {"id": "3", "caption": "two women are cooking food"}
    assert result["videos"] == 3 and 0 < result["scores"]["METEOR"] < 1
    assert all(low <= result["scores"][name] <= high for name, (low, high) in result["intervals"].items())
    assert f"{100 * result['scores']['ROUGE_L']:.2f}" in printed.err and "95 % interval" in printed.err


def test_what_evaluate_prints_is_understood(files, capsys):
    rows = [{"id": row["image_id"], "caption": row["caption"]} for row in RESULTS]
    assert main([*files(results={"scores": {}, "predictions": rows}), "--json", "--tokenizer", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["tokenizer"] == "none"


def test_a_subset(files, capsys):
    assert main([*files(results=RESULTS[:2]), "--subset", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["videos"] == 2


@pytest.mark.parametrize(
    ("references", "results", "named"),
    [
        (REFERENCES, RESULTS[:2], "without a prediction"),
        (REFERENCES, [*RESULTS, RESULTS[0]], "predicted twice"),
        (REFERENCES, [*RESULTS, {"image_id": 9, "caption": "x"}], "without references"),
        (REFERENCES, [{"image_id": 1}], "no 'caption'"),
        (REFERENCES, [{"image_id": 1, "caption": None}], "not text"),
        (REFERENCES, [{"caption": "x"}], "no 'image_id'"),
        (REFERENCES, [{"image_id": 1.5, "caption": "x"}], "no 'image_id'"),
        (REFERENCES, ["a man"], "no 'image_id'"),
        (REFERENCES, [], "no predictions"),
        (REFERENCES, {"a": "man"}, "not a results file"),
        (REFERENCES, "[{", "damaged JSON"),
        (REFERENCES, "[" * 100_000, "damaged JSON"),
        ("[]", RESULTS, "not a COCO caption file"),
        ({"annotations": []}, RESULTS, "no captions"),
        ({"images": [{"id": 1}, {"id": 1}], "annotations": []}, RESULTS, "listed twice"),
        ({"images": [{"id": 1}], "annotations": [{"image_id": 2, "caption": "x"}]}, RESULTS, "does not list"),
        ({**REFERENCES, "images": [*REFERENCES["images"], {"id": 4}]}, [*RESULTS, {"image_id": 4, "caption": "x"}],
         "empty list of references"),
    ],
)  # fmt: skip
def test_refusals(files, capsys, references, results, named):
    assert main(files(references, results)) == 4
    assert named in capsys.readouterr().err


def test_missing_and_huge_files(tmp_path, monkeypatch):
    with pytest.raises(AnnotationError, match="cannot be read"):
        coco_files.read_predictions(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("[]  ")
    monkeypatch.setattr(coco_files, "MAX_BYTES", 3)
    with pytest.raises(AnnotationError, match="larger"):
        coco_files.read_predictions(tmp_path / "a.json")
