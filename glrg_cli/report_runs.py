"""`glrg report RUN…`: what training runs did and what came out, as one HTML page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_cli.report_run import PhaseReport, RunReport, read_run, short_names
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import ConfigError, DataError, VideoError
from glrg_tf.io import atomic

if TYPE_CHECKING:
    from glrg_cli.report_runs_page import Shown

DESCRIPTION = """\
Writes a page of one or several captioning runs: curves, scores of every phase with intervals over videos, what is
normal while boosting, how varied the captions are, the best and the worst captions with the videos and what people
wrote. Several runs are compared on the videos they share."""
EXAMPLES = """\
examples:
  glrg report runs/a
  glrg report runs/a runs/b --out compared.html
  glrg report runs/a --data data/msrvtt --captions 12

The scores of every video are kept in the run (video_scores.json): the second page of a run is ready at once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg report runs`."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder of `glrg train`")
    parser.add_argument("--out", metavar="FILE.html", help="the page (default: report.html in the first run)")
    parser.add_argument("--data", metavar="DATASET", help="what people wrote (default: the dataset of the run)")
    parser.add_argument(
        "--captions", type=integer(0, 200), metavar="N", default=6, help="best and worst shown, each (default: 6)"
    )
    parser.add_argument("--no-frames", action="store_true", help="no pictures from the videos")
    parser.add_argument("--workers", type=integer(1), metavar="N", help="processes that read videos (default: cores)")
    parser.add_argument("--title", metavar="TEXT", help="head of the page")


def run(args: argparse.Namespace, console: Console) -> int:
    """Reads the runs, scores what is not scored yet, writes the page."""
    folders = [Path(run) for run in args.runs]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("a run is named twice", where="RUN", remedy="name each once")
    out = Path(args.out) if args.out else folders[0] / "report.html"
    frames = None if args.no_frames else args.workers or 0
    runs = write_page(
        folders, out, console, data=args.data, captions=args.captions, frame_workers=frames, title=args.title
    )
    size = out.stat().st_size / 2**20
    console.info(f"{out}: {len(runs)} {'run' if len(runs) == 1 else 'runs'}, {size:.1f} MiB")
    console.result({"out": str(out), "runs": [_brief(report) for report in runs]})
    return 0


def write_page(
    folders: Sequence[Path],
    out: Path,
    console: Console,
    *,
    data: str | None = None,
    captions: int = 6,
    frame_workers: int | None = 0,
    title: str | None = None,
) -> list[RunReport]:
    """Writes the page of some runs and returns what it tells.

    Args:
        folders: of the runs.
        out: the page.
        console: for progress and warnings.
        data: dataset folder; None takes that of each run.
        captions: best and worst shown, each.
        frame_workers: processes that read videos, 0 for one a core; None shows no frames.
        title: head of the page.

    Raises:
        GlrgError: something else than a captioning run, or damaged files.
    """
    runs = [read_run(folder, name) for folder, name in zip(folders, short_names(folders), strict=True)]
    _open_datasets(data, runs, console)
    _score(runs, console)

    from glrg_cli import report_runs_page

    shown = report_runs_page.choose(runs, captions)
    if frame_workers is not None and runs[0].dataset is not None:
        _add_frames(shown, runs[0].dataset, frame_workers or None, console)
    head = title or (f"Run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs compared")
    atomic.write_text(out, report_runs_page.render(head, runs, shown))
    return runs


def _open_datasets(named: str | None, runs: list[RunReport], console: Console) -> None:
    """Gives every run the dataset that holds what people wrote, where it is still there."""
    opened: dict[str, CaptionDataset | None] = {}
    for report in runs:
        source = named or str(report.config.get("data") or "")
        if source not in opened:
            try:
                opened[source] = CaptionDataset.load(source)
            except DataError as error:
                if named is not None:
                    raise
                console.warning(f"without what people wrote: {error.what} ({error.where}); name the dataset: --data")
                opened[source] = None
        report.dataset = opened[source]


def _score(runs: list[RunReport], console: Console) -> None:
    """Adds scores of every video to the phases whose captions are of videos of the run's dataset."""
    from glrg_cli.report_run_scores import cached_scores

    phases = [(report, phase) for report in runs for phase in report.phases if phase.predictions and report.dataset]
    with console.progress(len(phases), "scoring", "phases") as bar:
        for report, phase in phases:
            bar.update(1)
            records = report.dataset.records() if report.dataset is not None else []
            references = {record.id: list(record.captions) for record in records if record.captions}
            unknown = [name for name in phase.predictions if name not in references]
            if unknown:
                console.warning(f"{report.name}: the dataset has no captions of video {unknown[0]}; other --data?")
                continue
            mine = {name: references[name] for name in phase.predictions}
            phase.scores = cached_scores(phase.folder, mine, phase.predictions)


def _add_frames(shown: list[Shown], dataset: CaptionDataset, workers: int | None, console: Console) -> None:
    """Reads a few frames of the videos of the page, where the dataset names their files and they are there."""
    from glrg_tf.video.isolated import DecoderPool
    from glrg_tf.video.sampling import uniform_positions

    records = [record for record in dataset.records() if record.start is None and record.end is None]
    files = {record.id: dataset.folder / record.video for record in records if record.video}
    wanted = [(entry.id, files[entry.id]) for entry in shown if entry.id in files and files[entry.id].is_file()]
    wanted = list(dict.fromkeys(wanted))
    if not wanted:
        return
    by_id: dict[str, Any] = {}
    with (
        console.progress(len(wanted), "frames for the page", "videos") as bar,
        DecoderPool(workers, max_side=240) as pool,
    ):
        for name, frames in pool.read_many(wanted, lambda count: uniform_positions(count, min(count, 2))):
            bar.update(1)
            if not isinstance(frames, VideoError):
                by_id[str(name)] = frames
    for entry in shown:
        entry.frames = by_id.get(entry.id)


def _brief(report: RunReport) -> dict[str, Any]:
    def scores(phase: PhaseReport) -> dict[str, float] | None:
        found = phase.scores.overall if phase.scores is not None else phase.stored.get("scores")
        return dict(found) if found else None

    phases = {phase.name: {"epochs": len(phase.epochs), "scores": scores(phase)} for phase in report.phases}
    return {"run": str(report.folder), "phases": phases}
