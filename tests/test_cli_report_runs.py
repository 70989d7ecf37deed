"""`glrg report RUN…`: what is on the page of one run and of several, what is refused, what a browser says."""

from __future__ import annotations

import html.parser
import json
import re

import numpy as np
import pytest

from glrg_cli.html.charts import Line, line_chart
from glrg_cli.main import main
from glrg_cli.report_run import read_run, short_names
from glrg_tf.data.dataset import VideoRecord, write_dataset
from glrg_tf.errors import ConfigError
from glrg_tf.metrics import coco, diversity
from glrg_tf.video.writer import write_video
from tests.browser import asked, chromium

WORDS = ("a red ball jumps", "the ball is red", "a red ball is jumping")
COLOURS = ("red", "blue", "green", "white")
METRICS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr")


def of(colour):
    return tuple(text.replace("red", colour) for text in WORDS)


def epochs(phase, count=6):
    rows = []
    for number in range(1, count + 1):
        row = {"epoch": float(number), "step": 2.0 * number, "loss": 3.0 / number, "seconds": 1.5}
        row |= {"tokens_per_second": 900.0, "val_cider": 0.1 * number, "val_beam_cider": 0.09 * number}
        row |= {"val_distinct": 4.0, "val_length": 5.0}
        if phase == "dr":
            row |= {"reward": 0.3 + 0.02 * number, "baseline": 0.3, "advantage_square": 0.1, "length": 4, "ended": 1.0}
        else:
            row |= {"cross_entropy": 3.0 / number}
        rows.append(row)
    return rows


def write_run(folder, data, captions, phases=("dxe", "dr"), seed=1):
    """The files of a finished run; captions: of the test videos, by phase."""
    settings = {
        "model": {"streams": [["keyframe", 5]], "vocabulary_size": 9},
        "dxe": {"epochs": 6},
        "dr": {"epochs": 6},
    }
    config = {"phases": list(phases), "seed": seed, "data": str(data), "start": None, "settings": settings}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    for phase in phases:
        place = folder / "phases" / phase if len(phases) > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.json").write_text(json.dumps(config))
        (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in epochs(phase)))
        rows = [{"id": name, "caption": text} for name, text in captions[phase].items()]
        (place / "predictions_test.json").write_text(json.dumps(rows))
        stored = {"scores": dict.fromkeys(METRICS, 0.5), "intervals": {name: [0.4, 0.6] for name in METRICS}}
        (place / "scores.json").write_text(json.dumps({"split": "test", **stored}))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    frames = np.zeros((8, 32, 48, 3), np.uint8)
    write_video(folder / "v0.mp4", frames + 90, 8)
    records = [VideoRecord(id=f"t{n}", split="train", captions=WORDS) for n in range(3)]
    records += [
        VideoRecord(id=f"v{n}", split="test", captions=(*of(colour), f"<b>video</b> {n} & more"), video=f"../v{n}.mp4")
        for n, colour in enumerate(COLOURS)
    ]
    write_dataset(folder / "data", records, name="made", source=["tests"])
    return folder / "data"


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    videos = [f"v{n}" for n in range(4)]
    good = {name: of(colour)[0] for name, colour in zip(videos, COLOURS, strict=True)}
    poor = dict.fromkeys(videos, "dogs <script>alert(1)</script>")
    mixed = good | {"v3": "a cat sleeps"}
    first = write_run(folder / "first", data, {"dxe": mixed, "dr": good})
    second = write_run(folder / "second", data, {"dxe": poor, "dr": mixed}, seed=2)
    return first, second


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    """Pages of one run and of two, and the JSON of the latter."""
    folder = tmp_path_factory.mktemp("pages")
    assert main(["report", str(runs[0]), "--quiet"]) == 0
    assert main(["report", *map(str, runs), "--out", str(folder / "two.html"), "--captions", "2", "--quiet"]) == 0
    return runs[0] / "report.html", folder / "two.html"


def test_a_page_of_one_run(pages, runs):
    page = pages[0].read_text("utf-8")
    for head in (
        "Scores",
        "Differences",
        "Curves",
        "Boosting: is it normal?",
        "How varied",
        "Best captions",
        "Settings",
    ):
        assert f"<h2>{head}</h2>" in page
    assert page.count("<svg") >= 6 and "data:image/jpeg" in page  # v0 has frames
    assert "a red ball jumps" in page and "&lt;b&gt;video&lt;/b&gt; 1 &amp; more" in page
    assert (runs[0] / "phases" / "dr" / "video_scores.json").is_file()
    assert "rises slowly" in page and "4 of 4" in page and "people (one each)" in page


def test_a_page_of_two_runs(pages):
    page = pages[1].read_text("utf-8")
    assert "second against first" in page and "second DXE" in page
    assert "Where the two runs differ most" in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert re.search(r"<th>setting</th><th>first</th><th>second</th>", page)


@pytest.mark.parametrize("which", [0, 1])
def test_pages_are_whole_and_load_nothing(pages, which):
    page = pages[which].read_text("utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:)""", page) and "url(" not in page and "@import" not in page
    open_tags = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Reader().feed(page)
    assert not open_tags


def test_the_second_page_scores_nothing_again(runs, pages, monkeypatch, tmp_path):
    from glrg_cli import report_run_scores

    monkeypatch.setattr(report_run_scores, "score_captions", None)
    assert main(["report", "runs", str(runs[0]), "--out", str(tmp_path / "again.html"), "--quiet"]) == 0
    (runs[0] / "phases" / "dr" / "video_scores.json").write_text('{"sha256": 3')
    monkeypatch.undo()
    assert main(["report", str(runs[0]), "--out", str(tmp_path / "again.html"), "--quiet", "--no-frames"]) == 0
    assert "data:image" not in (tmp_path / "again.html").read_text("utf-8")


def test_without_the_dataset_there_are_curves_and_stored_scores(runs, data, tmp_path, capsys):
    gone = write_run(tmp_path / "gone", tmp_path / "nothing", {"dxe": {"v0": "a ball"}}, phases=("dxe",))
    assert main(["report", str(gone)]) == 0
    page = (gone / "report.html").read_text("utf-8")
    assert "50.00" in page and "[40.00, 60.00]" in page and "<svg" in page and "Best captions" not in page
    assert "--data" in capsys.readouterr().err
    assert main(["report", str(gone), "--data", str(tmp_path / "nothing")]) == 4


def test_a_phase_of_a_run_is_a_run(runs, tmp_path):
    phase = read_run(runs[0] / "phases" / "dr", "dr")
    assert [found.name for found in phase.phases] == ["dr"]
    copied = tmp_path / "copied"
    copied.mkdir()
    for file in (runs[0] / "phases" / "dr").iterdir():
        if file.is_file():
            (copied / file.name).write_bytes(file.read_bytes())
    assert read_run(copied, "c").last.name == "dr"


def test_a_browser_shows_them_without_errors_or_requests(pages):
    with chromium() as driver:
        for page in pages:
            for width in (1280, 390):
                size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                driver.get(page.as_uri())
                wide = driver.execute_script("return document.documentElement.scrollWidth")
                assert wide <= width  # tables scroll on their own
        assert driver.get_log("browser") == []
        requests = asked(driver)
        assert requests and all(url.startswith(("file:", "data:")) for url in requests)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("config.json", '{"format": "glrg-encoder-run"}', "an encoder's run"),
        ("glove.json", "{}", "Visual GloVe"),
        ("config.json", '{"format": "glrg-recap"}', "a recap run"),
        ("stages", "", "a recap run"),
        ("recap.json", "{}", "the recap of a video"),
        ("dataset.json", "{}", "a dataset"),
        ("model.weights.h5", "", "a captioner without its training"),
        ("other.txt", "", "not a captioning run"),
    ],
)
def test_other_folders_are_named_for_what_they_are(tmp_path, capsys, file, text, said):
    (tmp_path / file).write_text(text)
    assert main(["report", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_an_epoch_that_is_just_being_written_is_left_out(tmp_path):
    run = write_run(tmp_path / "run", tmp_path, {"dxe": {}}, phases=("dxe",))
    before = read_run(run, "r").last.epochs
    with open(next(run.rglob("metrics.jsonl")), "a", encoding="utf-8") as file:
        file.write('{"epoch": 99, "loss": 0.')
    assert read_run(run, "r").last.epochs == before


def test_refusals(runs, tmp_path, capsys):
    assert main(["report", str(tmp_path / "none")]) == 2
    assert main(["report", str(runs[0]), str(runs[0])]) == 2
    assert "twice" in capsys.readouterr().err
    damaged = write_run(tmp_path / "damaged", tmp_path, {"dxe": {}}, phases=("dxe",))
    (damaged / "scores.json").write_text("{}")
    assert main(["report", str(damaged)]) == 5
    (damaged / "scores.json").unlink()
    (damaged / "metrics.jsonl").write_text("")
    with pytest.raises(ConfigError, match="no finished epoch"):
        read_run(damaged, "d")


def test_short_names(tmp_path):
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert short_names(paths) == ["a/run", "b/run"] and short_names(paths[:1]) == ["run"]


def test_diversity():
    found = diversity.measure([("a", "b", "a"), ("a", "b", "a"), ("c",)], {("c",)})
    assert (found.captions, found.distinct, found.vocabulary) == (3, 2, 3)
    assert found.distinct_1 == pytest.approx(3 / 7) and found.distinct_2 == pytest.approx(2 / 4)
    assert found.novel == pytest.approx(2 / 3) and found.lengths.tolist() == [3, 3, 1]
    assert diversity.vocabulary_growth([("a",), ("a", "b"), ()]).tolist() == [1, 2, 2]
    empty = diversity.measure([])
    assert empty.distinct_1 == 0 and empty.novel is None


def test_paired_differences():
    references = {n: ["a red ball jumps", "the ball is red"] for n in range(6)}
    good = coco.score_captions(references, dict.fromkeys(range(6), "a red ball jumps"), ("CIDEr", "Bleu_4", "ROUGE_L"))
    poor = coco.score_captions(references, dict.fromkeys(range(6), "a dog"), ("CIDEr", "Bleu_4", "ROUGE_L"))
    gap, low, high = coco.paired_differences(good, poor, 50)["ROUGE_L"]
    assert gap == pytest.approx(good.overall["ROUGE_L"] - poor.overall["ROUGE_L"]) and low <= gap <= high and low > 0
    assert coco.paired_differences(good, good, 50)["Bleu_4"] == (0, 0, 0)
    other = coco.score_captions({7: ["a"]}, {7: "a"}, ("ROUGE_L",))
    with pytest.raises(ConfigError, match="different videos"):
        coco.paired_differences(good, other)


def test_charts():
    assert line_chart("empty", [Line("a", [1.0], [float("nan")])]) is None
    one = line_chart("one", [Line("a", [1.0], [2.0])])
    assert one is not None and "<circle" in one
    many = line_chart("many <x>", [Line("a", range(5000), np.sin(np.arange(5000)))])
    assert many is not None and many.count(",") < 1500 and "many &lt;x&gt;" in many
    epochs = line_chart("epochs", [Line("a", [1.0, 2.0], [0.2244, 0.2254])])
    assert epochs is not None and ">1.5<" not in epochs and ">0.22475<" in epochs
    places = [float(x) for x in re.findall(r'x="([0-9.]+)"[^>]*>0\.\d+<', epochs)]
    assert min(places) > 6.5 * len("0.22475")  # nothing is cut off at the left
