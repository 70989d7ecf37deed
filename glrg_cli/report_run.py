"""A training run as its files tell it, for the page of `glrg report RUN…`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import CheckpointError, ConfigError, DataError
from glrg_tf.io import documents
from glrg_tf.metrics.coco import CocoScores

PHASES = ("xe", "dxe", "dr")
# What else lies in folders that people call runs: a file that gives it away, and what shows it instead.
_OTHERS = (
    ("report.json", "an encoder's run (`glrg train-encoder`)", "its scores are in report.json and report.png"),
    ("encoder.json", "an encoder", "`glrg train-encoder` runs hold its scores"),
    ("glove.json", "a run of Visual GloVe", "`glrg glove plot RUN --out words.png` shows it"),
    ("codebook.h5", "a run of Visual GloVe", "`glrg glove plot RUN --out words.png` shows it"),
    ("stages", "a recap run (`glrg recap train`)", "`glrg recap evaluate` scores it, `glrg recap run` writes a page"),
    ("recap.json", "the recap of a video", "its page is recap.html beside it"),
    ("study.json", "a study", "its tables are beside it as .md and .png"),
    ("jobs", "a study of `glrg ablate`", "its tables are beside it as .md and .png"),
    ("dataset.json", "a dataset", "name the run that was trained on it"),
    ("model.weights.h5", "a captioner without its training", "name the run folder that it came from"),
)


@dataclasses.dataclass
class PhaseReport:
    """One phase of a run.

    Attributes:
        name: xe, dxe or dr.
        epochs: lines of metrics.jsonl, in order.
        predictions: caption by video id, of the split that the run was judged on; empty where it was not.
        split: that split; "" where it was not judged.
        stored: scores.json: {"scores", "intervals"}; empty where there is none.
        folder: of the phase.
        scores: of every video, once they are computed.
    """

    name: str
    epochs: list[dict[str, float]]
    predictions: dict[str, str]
    split: str
    stored: dict[str, Any]
    folder: Path
    scores: CocoScores | None = None

    def column(self, metric: str) -> list[float]:
        """A metric of every epoch; NaN where it was not measured."""
        return [float(row.get(metric, float("nan"))) for row in self.epochs]


@dataclasses.dataclass
class RunReport:
    """One run.

    Attributes:
        name: short, different for every run of a page.
        folder: the run.
        config: its config.json.
        phases: those that have begun, in order.
        dataset: what people wrote; None where it is not at hand.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    phases: list[PhaseReport]
    dataset: CaptionDataset | None = None

    @property
    def last(self) -> PhaseReport:
        """The phase whose captioner is the run's."""
        return self.phases[-1]

    @property
    def seconds(self) -> float:
        """Of training, all phases."""
        return sum(sum(phase.column("seconds")) for phase in self.phases)


def read_run(folder: Path, name: str) -> RunReport:
    """Reads the files of a run.

    Raises:
        ConfigError: there is something else than a captioning run.
        CheckpointError: its files are damaged.
        DataError: a file is not readable.
    """
    if not folder.is_dir():
        raise ConfigError("no such run", where=folder, remedy="name a run folder of `glrg train`")
    config = _config(folder)
    names = [str(phase) for phase in config["phases"] if phase in PHASES]
    if len(names) == 1 or (folder / "metrics.jsonl").is_file():  # one phase; perhaps of a run of several
        places = {names[0] if len(names) == 1 else _phase_of(folder, names): folder}
    else:
        places = {name: folder / "phases" / name for name in names}
    found = [_phase(name, place) for name, place in places.items() if (place / "metrics.jsonl").is_file()]
    phases = [phase for phase in found if phase.epochs]
    if not phases:
        raise ConfigError("the run has no finished epoch yet", where=folder, remedy="wait for one, or --resume it")
    return RunReport(name, folder, config, phases)


def short_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell the runs apart."""
    resolved = [folder.resolve() for folder in folders]
    depth = 1
    while depth < 8 and len({path.parts[-depth:] for path in resolved}) < len(set(resolved)):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in resolved]


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    config = documents.read_json(file, error=DataError) if file.is_file() else {}
    if isinstance(config, dict) and isinstance(config.get("phases"), list) and isinstance(config.get("settings"), dict):
        return config
    form = str(config.get("format", "")) if isinstance(config, dict) else ""
    about = next(((what, remedy) for name, what, remedy in _OTHERS if (folder / name).exists()), None)
    if "encoder" in form:
        about = _OTHERS[0][1:]
    elif "glove" in form or "recap" in form:
        about = next(entry[1:] for entry in _OTHERS if entry[0] == ("glove.json" if "glove" in form else "stages"))
    what = f"this is {about[0]}, not a captioning run" if about else "this is not a captioning run"
    raise ConfigError(what, where=folder, remedy=about[1] if about else "name a run folder of `glrg train`")


def _phase_of(folder: Path, names: list[str]) -> str:
    """Which phase of a run lies in a folder: by its name, else by what its epochs measured."""
    if folder.name in names:
        return folder.name
    rows = documents.read_json_lines(folder / "metrics.jsonl", growing=True)
    _, first = next(rows, (0, dict[str, Any]()))
    if "reward" in first:
        return "dr"
    return "xe" if first.get("loss") == first.get("cross_entropy") else "dxe"


def _phase(name: str, folder: Path) -> PhaseReport:
    epochs = [
        {key: float(value) for key, value in row.items() if isinstance(value, int | float)}
        for _, row in documents.read_json_lines(folder / "metrics.jsonl", growing=True)
    ]
    stored: dict[str, Any] = {}
    predictions: dict[str, str] = {}
    if (folder / "scores.json").is_file():
        stored = documents.read_json(folder / "scores.json", error=DataError)
        if not isinstance(stored, dict) or not isinstance(stored.get("split"), str):
            raise CheckpointError("scores.json is damaged", where=folder, remedy="remove it, or train again")
        if not all(isinstance(value, float) for value in stored.get("scores", {None: None}).values()):
            raise CheckpointError("scores.json holds no scores", where=folder, remedy="remove it, or train again")
        predictions = _predictions(folder / f"predictions_{Path(stored['split']).name}.json")
    return PhaseReport(name, epochs, predictions, str(stored.get("split", "")), stored, folder)


def _predictions(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    rows = documents.read_json(file, error=DataError)
    try:
        return {str(row["id"]): str(row["caption"]) for row in rows}
    except (KeyError, TypeError):
        raise CheckpointError("the predictions are damaged", where=file, remedy="remove the file") from None
