"""What an export says about itself: `manifest.json` for programs, `model_card.md` for people."""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from export.result import Exported, Result
from glrg_tf.captioner.locate import resolve
from glrg_tf.config import to_dict
from glrg_tf.io import atomic

FORMAT, VERSION = "glrg-export", 1
_PACKAGES = ("glrg-tf", "tensorflow", "keras", "numpy", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert")


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where the exported captioner comes from.

    Attributes:
        name: what it was called by: a folder or a preset.
        weights_sha256: of its `model.weights.h5`.
        card: its model card.
    """

    name: str
    weights_sha256: str
    card: str

    @classmethod
    def of(cls, name_or_path: str) -> Provenance:
        """The provenance of a captioner folder, a run or a preset.

        Raises:
            CheckpointError: no captioner there.
        """
        folder = resolve(name_or_path)
        card = folder / "model_card.md"
        text = card.read_text("utf-8") if card.is_file() else ""
        return cls(Path(name_or_path).name, atomic.sha256_file(folder / "model.weights.h5"), text)

    @property
    def licence(self) -> str:
        """What the card says of the data's licence."""
        found = re.search(r"Licence: *(.+)", self.card)
        return found.group(1).strip() if found else "not stated by the captioner's card"


def is_export(folder: Path) -> bool:
    """Whether a folder holds an export, so that a new one may take its place."""
    try:
        return json.loads((folder / atomic.MANIFEST).read_text("utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        return False


def write(folder: Path, exporter: Exported, results: list[Result], provenance: Provenance) -> dict[str, Any]:
    """Writes card and manifest, the last files of an export, and returns the manifest without the list of files."""
    weights = 4 * sum(value.size for value in exporter.captioner.model.get_weights().values())
    networks = [] if exporter.frames_model is None else exporter.frames_model.networks
    encoder_weights = 4 * sum(network.count_params() for network in networks)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "captioner": dataclasses.asdict(provenance) | {"card": None, "licence": provenance.licence},
        "licence": {"program": "MIT", "data": provenance.licence},
        "model": to_dict(exporter.captioner.config),
        "decoding": to_dict(exporter.captioner.decoding) | {"beam_size": exporter.beam},
        "vocabulary": {"file": "vocabulary.json", "tokenizer": exporter.captioner.vocabulary.tokenizer},
        "encoder": None if exporter.bundle is None else {"fingerprint": exporter.bundle.fingerprint},
        "weights_bytes": {"captioner": weights, "encoder": encoder_weights},
        "versions": {"python": platform.python_version(), **_versions()},
        "artefacts": [_entry(result, weights, encoder_weights) for result in results],
    }
    del content["captioner"]["card"]
    atomic.write_text(folder / "model_card.md", _card(content, provenance, exporter))
    atomic.write_manifest(folder, **content)
    return content


def _entry(result: Result, weights: int, encoder_weights: int) -> dict[str, Any]:
    artefact = result.artefact
    if artefact.frames or (artefact.format, artefact.form) == ("saved_model", "float32"):
        weights += encoder_weights  # the files that hold them
    entry: dict[str, Any] = {
        "path": artefact.path,
        "format": artefact.format,
        "weights": artefact.form,
        "input": "frames" if artefact.frames else "features",
        "bytes": result.size,
        "share_of_float32_weights": round(result.size / weights, 4),
        "agreement": [_numbers(dataclasses.asdict(agreement)) for agreement in result.agreements],
    }
    if result.regret is not None:  # int8: nothing to tie with, see `smaller.check_int8`
        entry["regret_nats_per_word"] = result.regret
        for agreement in entry["agreement"]:
            agreement["changed_best_captions"] = agreement.pop("ties")
    if result.change is not None:
        entry["scores"] = dataclasses.asdict(result.change) | {"cider_loss_points": round(result.change.cider_loss, 4)}
    return entry


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in values.items()}  # JSON has no NaN


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _card(content: dict[str, Any], provenance: Provenance, exporter: Exported) -> str:
    decoding, model = content["decoding"], exporter.captioner.config
    streams = ", ".join(f"{name} ({width})" for name, width in model.streams)
    lines = [
        "# GL-RG video captioner, exported",
        "",
        f"- **Made from** `{provenance.name}`, weights sha256 `{provenance.weights_sha256}`.",
        f"- **Reads** `features`, float32 (videos, {model.feature_size}): {streams}; values beyond 1e18 and values "
        "that are no numbers are refused, that video alone (empty captions, score -1e30).",
        f"- **Decodes** with a beam of {decoding['beam_size']}, at most {decoding['max_words']} words; a score is "
        f"the sum of log-probabilities divided by length to the power {decoding['length_normalization']:g}.",
        f"- **Vocabulary** {model.vocabulary_size:,} words in `vocabulary.json`; ids end with 0.",
        f"- **Licence** of the program: MIT; of the data: {provenance.licence}",
        f"- **Versions** {', '.join(f'{k} {v}' for k, v in content['versions'].items())}",
        "",
        "## Files",
        "",
        "| file | reads | weights | MB | of its float32 weights | agrees with Keras on | ties | largest difference |",
        "|---|---|---|---|---|---|---|---|",
        *[_file_row(entry) for entry in content["artefacts"]],
        "",
        "Compared in batches of 1, 7 and 32: captions token for token, log-probabilities relative where they are "
        "beyond 1. A tie is a video in which float64 arithmetic shows two hypotheses closer than the rounding of "
        "float32; for int8 the column counts videos with another best caption (made and hostile inputs included).",
        "",
        *_score_lines(content["artefacts"]),
        "## The captioner's own card",
        "",
        *(re.sub(r"^#", "###", line) for line in provenance.card.strip().splitlines()),
        "",
    ]
    return "\n".join(lines)


def _file_row(entry: dict[str, Any]) -> str:
    agreements = entry["agreement"]
    videos = " + ".join(str(agreement["videos"]) for agreement in agreements)
    ties = " + ".join(_ties(agreement) for agreement in agreements)
    worst = [agreement[key] for agreement in agreements for key in ("log_prob_difference", "score_difference")]
    known = [value for value in worst if value is not None]
    difference = f"{max(known):.1e}" if known else f"regret {entry['regret_nats_per_word']:.4f} nats a word"
    share, size = entry["share_of_float32_weights"], entry["bytes"] / 1e6
    return (
        f"| {entry['path']} | {entry['input']} | {entry['weights']} | {size:.2f} | {share:.3f} | {videos} videos "
        f"| {ties} | {difference} |"
    )


def _ties(agreement: dict[str, Any]) -> str:
    kinds = agreement["ties"] if "ties" in agreement else agreement["changed_best_captions"]
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "0"


def _score_lines(entries: list[dict[str, Any]]) -> list[str]:
    scored = [entry for entry in entries if "scores" in entry]
    if not scored:
        return ["Scores were not measured: no data set was given (`--data DATASET`).", ""]
    first = scored[0]["scores"]
    names = list(first["original"])
    lines = [f"## Scores on {first['split']} ({first['videos']} videos)", ""]
    lines += ["| captions of | " + " | ".join(names) + " | CIDEr lost | captions changed |"]
    lines += ["|---" * (len(names) + 3) + "|"]
    lines += ["| Keras | " + " | ".join(f"{100 * first['original'][name]:.2f}" for name in names) + " | | |"]
    for entry in scored:
        values = " | ".join(f"{100 * entry['scores']['scores'][name]:.2f}" for name in names)
        changed = entry["scores"]["changed"]
        lines.append(f"| {entry['path']} | {values} | {entry['scores']['cider_loss_points']:.2f} | {changed} |")
    return [*lines, ""]
