"""One export: every artefact is written, loaded again, run and compared before any of them is handed out.

All happens in a scratch folder that becomes the output when everything agrees and vanishes when anything does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export import explain_parity, frames_parity, manifest, runners, smaller
from export.litert_model import write_litert
from export.onnx_int8 import write_int8
from export.onnx_model import write_onnx
from export.onnx_text import write_text
from export.parity import LITERT_TOLERANCE, TOLERANCE, Agreement, Reference, check_best, check_hypotheses
from export.plan import Artefact, ExportRequest, artefacts
from export.probes import Probes, make_probes
from export.result import Result
from export.saved_model import write_saved_model
from export.signatures import CaptionModule, frames_model_for
from glrg_tf.captioner.captioner import Caption, VideoCaptioner
from glrg_tf.errors import ConfigError, ExportError
from glrg_tf.io import atomic
from training.material import Split

Report = Callable[[str], None]

# How signatures that read features are compared with Keras.
_CHECKS: dict[str, Callable[[str, runners.Run, Reference], Agreement]] = {
    "serving_default": check_best,
    "beam": check_hypotheses,
    "explain": explain_parity.check_items,
}


class Exporter:
    """Writes and checks the artefacts of one captioner.

    Args:
        captioner: what to export; with `request.with_encoder` it must hold its encoders.
        request: what to write.
        split: real videos to compare on, and to score smaller forms on; None makes features up.
        report: told what is going on, once a step.
        seed: of the made-up videos.
        real_frames: uint8 (B, F, H, W, 3), compared on beside made-up ones.

    Raises:
        ConfigError: frames are asked for and the captioner has no encoders.
    """

    def __init__(
        self,
        captioner: VideoCaptioner,
        request: ExportRequest,
        split: Split | None = None,
        report: Report = lambda text: None,
        seed: int = 1,
        real_frames: Sequence[np.ndarray] = (),
    ) -> None:
        self.captioner, self.request, self.split, self.report, self.seed = captioner, request, split, report, seed
        self.real_frames = tuple(real_frames)
        self.beam = captioner.decoding.beam_size if request.beam is None else request.beam
        self.bundle = captioner.encoders if request.with_encoder else None
        if request.with_encoder and self.bundle is None:
            raise ConfigError(
                "this captioner has no encoders: it can be exported from features alone",
                where="--with-encoder",
                remedy="name one with --encoder ENC, or leave --with-encoder out",
            )
        self.frames_model = frames_model_for(captioner, self.bundle) if self.bundle is not None else None
        self._references: dict[str, Reference] = {}
        self._originals: list[Caption] | None = None
        self._known_scores: dict[tuple[str, ...], dict[str, float]] = {}

    def steps(self) -> int:
        """How often `report` is called by `run`."""
        return 1 + 2 * len(artefacts(self.request)) + ("saved_model" in self.request.formats)

    @staticmethod
    def target(out: str | os.PathLike[str]) -> Path:
        """The output folder, if an export may be put there.

        Raises:
            ConfigError: it holds something else.
        """
        target = Path(out)
        if target.exists() and not manifest.is_export(target):
            raise ConfigError("the folder exists and is no export", where=target, remedy="choose another --out")
        return target

    def run(self, out: str | os.PathLike[str], provenance: manifest.Provenance) -> dict[str, Any]:
        """Writes the output folder, whole or not at all.

        Args:
            out: the folder; an earlier export there is replaced.
            provenance: where the captioner comes from.

        Returns:
            What `manifest.json` says.

        Raises:
            ExportError: an artefact cannot be written, loaded or run, or does not agree.
            ConfigError: the folder holds something else.
        """
        with atomic.new_folder(self.target(out), replace=True) as folder:
            self.report("making inputs to compare on")
            self._reference("float32")
            results = [self._make(folder, artefact) for artefact in artefacts(self.request)]
            (folder / "source.onnx").unlink(missing_ok=True)
            if "saved_model" in self.request.formats:
                from export.serving.layout import write_serving_files

                self.report("writing and trying what TF Serving wants")
                write_serving_files(folder)
            self.captioner.vocabulary.save(folder / "vocabulary.json")
            return manifest.write(folder, self, results, provenance)

    # === One artefact ===
    def _make(self, folder: Path, artefact: Artefact) -> Result:
        self.report(f"writing {artefact.path}")
        path = self._write(folder, artefact)
        size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
        self.report(f"checking {artefact.path}")
        agreements, regret, best = self._check(path, artefact)
        change = None
        if self.split is not None and not artefact.frames:
            change = self._score(best)
            if artefact.form != "float32" and change.cider_loss > self.request.max_loss:
                raise ExportError(
                    f"{change.cider_loss:.2f} CIDEr points are lost on {change.split}, allowed {self.request.max_loss}",
                    where=artefact.path,
                    remedy="leave this form out, or raise --max-loss",
                )
        return Result(artefact, size, agreements, regret, change)

    def _write(self, folder: Path, artefact: Artefact) -> Path:
        path = folder / artefact.path
        if artefact.format == "saved_model":
            storage = "float16" if artefact.form == "float16" else "float32"
            frames_model = self.frames_model if storage == "float32" else None
            return write_saved_model(
                self.captioner, path, self.beam, frames_model, storage, version=self.request.version
            )
        if artefact.form == "int8":
            return write_int8(self._plain_onnx(folder), path)
        if artefact.format == "onnx_text":
            return write_text(self._plain_onnx(folder), path, self.captioner.vocabulary)
        module = CaptionModule(self.captioner, self.beam, self.frames_model, word_table=False)
        if artefact.format == "litert":
            return write_litert(module, path, artefact.frames, float16=artefact.form == "float16")
        return write_onnx(module, path, artefact.frames)

    def _plain_onnx(self, folder: Path) -> Path:
        """The float32 ONNX file that other forms are made from: the artefact, or one that is removed again."""
        for path in (folder / "captioner.onnx", folder / "source.onnx"):
            if path.exists():
                return path
        return write_onnx(CaptionModule(self.captioner, self.beam, word_table=False), folder / "source.onnx")

    def _check(self, path: Path, artefact: Artefact) -> tuple[tuple[Agreement, ...], float | None, runners.Run]:
        """How an artefact agrees, an int8 one's regret, and what gives its hypotheses."""
        reference = self._reference("float16" if artefact.form == "float16" else "float32")
        if artefact.format == "saved_model":
            signatures = runners.open_saved_model(path)
            return self._check_signatures(artefact, signatures, reference), None, signatures["beam"]
        litert = artefact.format == "litert"
        run = runners.open_litert(path) if litert else runners.open_onnx(path)
        if artefact.frames:
            found_frames = frames_parity.check_hypotheses(
                artefact.path, run, self.captioner, self.bundle, self.beam, self.real_frames
            )
            return (found_frames,), None, run
        if artefact.form == "int8":
            agreement, regret = smaller.check_int8(artefact.path, run, reference)
            return (agreement,), regret, run
        tolerance = LITERT_TOLERANCE if litert else TOLERANCE
        return (check_hypotheses(artefact.path, run, reference, tolerance),), None, run

    def _check_signatures(
        self, artefact: Artefact, signatures: dict[str, runners.Run], reference: Reference
    ) -> tuple[Agreement, ...]:
        captioner, bundle = self.captioner, self.bundle
        found = []
        for name, run in signatures.items():
            full = f"{artefact.path}: {name}"
            if name in _CHECKS:
                found.append(_CHECKS[name](full, run, reference))
            elif name == "from_frames":
                found.append(frames_parity.check_best(full, run, captioner, bundle, self.beam, self.real_frames))
            elif name == "explain_frames":
                found.append(explain_parity.check_frames(full, run, captioner, bundle))
            else:
                raise ExportError("a signature that nothing compares with Keras", where=full)
        return tuple(found)

    # === What artefacts are compared with ===
    def _reference(self, form: str) -> Reference:
        if form not in self._references:
            captioner = self.captioner if form == "float32" else smaller.rounded(self.captioner)
            self._references[form] = Reference(captioner, self._probes(), self.beam)
        return self._references[form]

    def _probes(self) -> Probes:
        if self._references:
            return next(iter(self._references.values())).probes
        real = None if self.split is None else self.split.features()
        return make_probes(self.captioner, real, self.beam, self.seed)

    def _score(self, run: runners.Run) -> smaller.ScoreChange:
        """What an artefact's captions of the whole split score, beside the original's."""
        features = self.split.features()
        if self._originals is None:
            self._originals = [found[0] for found in self.captioner.generate(features, self.beam)]
        texts = []
        for start in range(0, len(features), 32):
            outputs = run(np.ascontiguousarray(features[start : start + 32]))
            rows = range(len(outputs["scores"]))
            texts += [smaller.read_captions(outputs, row, self.captioner)[0].text for row in rows]
        references = dict(zip(self.split.ids, self.split.captions, strict=True))
        return smaller.measure_change(self.split.name, references, self._originals, texts, self._known_scores)
