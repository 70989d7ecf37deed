"""What runs say, on the page of `glrg report RUN…`: how varied it is, and the best and worst of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_cli.html import parts
from glrg_cli.html.charts import Line, line_chart
from glrg_cli.html.markup import Html, Part, tag
from glrg_cli.html.pictures import film
from glrg_cli.report_run import PhaseReport, RunReport
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.metrics import diversity
from glrg_tf.text.tokenizer import get_tokenizer

if TYPE_CHECKING:
    from glrg_tf.video.reader import Frames

Training = set[tuple[str, ...]] | None  # the words of every training caption
_REFERENCES = 4  # of people, open on a card


@dataclasses.dataclass
class Shown:
    """A video of the page.

    Attributes:
        id: of the video.
        why: "best", "worst" or "apart" (where two runs differ most).
        frames: of the video, where it is known.
    """

    id: str
    why: str
    frames: Frames | None = None


def choose(runs: Sequence[RunReport], count: int) -> list[Shown]:
    """The best and worst captions of the first run's last phase; of two runs, where the second differs most from it."""
    scores = runs[0].last.scores
    if scores is None or count == 0:
        return []
    cider = scores.per_video["CIDEr"]
    order = np.argsort(-cider, kind="stable")
    best, worst = order[:count], order[::-1][: min(count, max(0, len(order) - count))]
    shown = [Shown(str(scores.ids[row]), "best") for row in best]
    shown += [Shown(str(scores.ids[row]), "worst") for row in worst]
    other = runs[1].last.scores if len(runs) == 2 else None
    if other is not None and other.ids == scores.ids:
        gaps = np.abs(other.per_video["CIDEr"] - cider)
        far = [row for row in np.argsort(-gaps, kind="stable")[:count] if gaps[row] > 0]
        shown += [Shown(str(scores.ids[row]), "apart") for row in far]
    return shown


def variety(runs: Sequence[RunReport]) -> Html | None:
    """How varied the captions are, beside what people wrote about the same videos."""
    voices: list[tuple[str, list[list[str]], Training]] = []
    said: dict[int, Training] = {}
    for run in runs:
        tokenizer = get_tokenizer(run.dataset.tokenizer if run.dataset is not None else "release")
        training = said.setdefault(id(run.dataset), _training(run.dataset))
        for phase in run.phases:
            if phase.predictions:
                captions = [tokenizer(text) for text in phase.predictions.values()]
                voices.append((_name(runs, run, phase), captions, training))
    if not voices:
        return None
    people = _people(runs[0])
    if people:
        voices.append(("people (one each)", people, said[id(runs[0].dataset)]))
    measured = [(name, diversity.measure(captions, training)) for name, captions, training in voices]
    rows = [_variety_row(name, found) for name, found in measured]
    head = ["", "different captions", "distinct-1", "distinct-2", "words used", "new captions", "words a caption"]
    growth = [
        Line(
            name,
            range(1, len(captions) + 1),
            diversity.vocabulary_growth(captions).tolist(),
            at,
            name.startswith("people"),
        )
        for at, (name, captions, _) in enumerate(voices)
    ]
    lengths = [
        Line(name, *_histogram(found.lengths), at, name.startswith("people"))
        for at, (name, found) in enumerate(measured)
    ]
    pictures = [
        line_chart("Vocabulary growth", growth, about="different words after so many captions", x_name="captions"),
        line_chart("Length of captions", lengths, about="share of the captions, per cent", x_name="words"),
    ]
    about = "distinct-1 and -2: different words and word pairs by all of them. New: said by nobody in training. "
    about += "People: the first caption of each video, for scale."
    drawn = [picture for picture in pictures if picture is not None]
    return parts.section(
        "How varied", parts.table(head, rows), tag("p", about, class_="quiet"), tag("div", drawn, class_="charts"),
        id_="variety",
    )  # fmt: skip


def cards(runs: Sequence[RunReport], shown: Sequence[Shown]) -> Html | None:
    """The chosen videos with what every run and people say."""
    dataset = runs[0].dataset
    if not shown or dataset is None:
        return None
    references = {record.id: record.captions for record in dataset.records()}
    heads = {
        "best": "Best captions" if len(runs) == 1 else f"Best captions of {runs[0].name}",
        "worst": "Worst captions" if len(runs) == 1 else f"Worst captions of {runs[0].name}",
        "apart": "Where the two runs differ most",
    }
    body: list[Part] = []
    for why, head in heads.items():
        chosen = [entry for entry in shown if entry.why == why]
        if chosen:
            about = None if body else tag("p", "By CIDEr of the video, in per cent behind it.", class_="quiet")
            cards = parts.grid(_card(runs, entry, references) for entry in chosen)
            body.append(parts.section(head, about, cards, id_=why))
    return tag("div", body)


def _card(runs: Sequence[RunReport], entry: Shown, references: dict[str, Any]) -> Html:
    frames = (
        film(list(entry.frames.images), entry.id) if entry.frames is not None and len(entry.frames.images) else None
    )
    last = runs[0].last
    others = [
        (_name(runs, run, phase), phase)
        for run in runs
        for phase in reversed(run.phases)
        if phase is not last and entry.id in phase.predictions
    ]
    lines = [tag("li", tag("span", f"{name}: ", class_="score"), _said(phase, entry.id)) for name, phase in others]
    return parts.card(
        frames,
        tag("p", f"{entry.id} · {_name(runs, runs[0], last)}", class_="name"),
        tag("p", _said(last, entry.id), class_="caption"),
        tag("ul", lines, class_="sentences") if lines else None,
        tag("h3", "people"),
        parts.sentences(list(references.get(entry.id, ())), _REFERENCES),
    )


def _said(phase: PhaseReport, video: str) -> list[Part]:
    score = ""
    if phase.scores is not None and video in phase.scores.ids:
        score = f"{100 * float(phase.scores.per_video['CIDEr'][phase.scores.ids.index(video)]):.0f}"
    return [phase.predictions[video] or "(no words)", " ", tag("span", score, class_="score")]


def _name(runs: Sequence[RunReport], run: RunReport, phase: PhaseReport) -> str:
    return phase.name.upper() if len(runs) == 1 else f"{run.name} {phase.name.upper()}"


def _training(dataset: CaptionDataset | None) -> Training:
    """Words of every training caption; None where they are not known."""
    if dataset is None or "train" not in dataset.splits:
        return None
    tokenizer = get_tokenizer(dataset.tokenizer)
    return {tuple(tokenizer(text)) for record in dataset.records("train") for text in record.captions}


def _people(run: RunReport) -> list[list[str]]:
    """Words of the first caption of each video that the run was judged on."""
    if run.dataset is None:
        return []
    tokenizer = get_tokenizer(run.dataset.tokenizer)
    first = {record.id: record.captions[0] for record in run.dataset.records() if record.captions}
    return [tokenizer(first[name]) for name in run.last.predictions if name in first]


def _variety_row(name: str, found: diversity.Diversity) -> list[Part]:
    different = f"{found.distinct} of {found.captions}"
    new = "–" if found.novel is None else f"{100 * found.novel:.0f} %"
    spread = f"{found.lengths.mean():.1f} ± {found.lengths.std():.1f}" if len(found.lengths) else "–"
    return [name, different, f"{found.distinct_1:.3f}", f"{found.distinct_2:.3f}", found.vocabulary, new, spread]


def _histogram(lengths: np.ndarray) -> tuple[list[int], list[float]]:
    counts = np.bincount(lengths, minlength=1)
    low, high = (int(lengths.min()), int(lengths.max())) if len(lengths) else (0, 0)
    places = list(range(max(0, low - 1), high + 2))
    return places, [100 * float(counts[n]) / max(1, len(lengths)) if n < len(counts) else 0.0 for n in places]
