"""What one export writes: which files, from what, in which form.

DIR/
  saved_model/1/              signatures of `signatures`, weights float32
  saved_model.float16/1/      the same from features only, weights stored in half the bytes
  captioner.onnx              features -> scores, token_ids, token_log_probs
  captioner.int8.onnx         the same in a quarter of the bytes
  captioner.text.onnx         the same with captions as text (opset 20)
  captioner_frames.onnx       uint8 frames -> the same
  captioner.tflite, captioner.float16.tflite, captioner_frames.tflite
  vocabulary.json             words of the ids
  manifest.json               versions, hashes, settings, how well each file agrees with its source
  model_card.md               the same for people
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Literal

from glrg_tf.errors import ConfigError

Format = Literal["saved_model", "onnx", "onnx_text", "litert"]
Form = Literal["float32", "float16", "int8"]
FORMATS: tuple[Format, ...] = ("saved_model", "onnx", "onnx_text", "litert")
QUANTISATIONS: tuple[Form, ...] = ("int8", "float16")
# Which formats have a smaller form.
_SMALLER: dict[Form, tuple[Format, ...]] = {"int8": ("onnx",), "float16": ("saved_model", "litert")}


@dataclasses.dataclass(frozen=True)
class ExportRequest:
    """What to write.

    Attributes:
        formats: of `FORMATS`.
        beam: hypotheses kept; None takes the captioner's default.
        quantize: smaller forms written beside, of `QUANTISATIONS`.
        with_encoder: whether frames are captioned too.
        version: number of the SavedModel's folder; a server takes the highest.
        max_loss: CIDEr points that a smaller form may lose on the validation split, 0..100.
    """

    formats: tuple[Format, ...] = ("saved_model", "onnx")
    beam: int | None = None
    quantize: tuple[Form, ...] = ()
    with_encoder: bool = False
    version: int = 1
    max_loss: float = 0.5

    def __post_init__(self) -> None:
        """Refuses what cannot be written.

        Raises:
            ConfigError: unknown or missing formats, a quantisation that none of them has.
        """
        _check_known("--format", self.formats, FORMATS)
        _check_known("--quantize", self.quantize, QUANTISATIONS)
        if not self.formats:
            raise ConfigError("nothing to export", where="--format", remedy="one or more of " + ", ".join(FORMATS))
        for form in self.quantize:
            if not set(_SMALLER[form]) & set(self.formats):
                raise ConfigError(
                    f"no format here has a form in {form}",
                    where="--quantize",
                    remedy="add " + " or ".join(_SMALLER[form]) + " to --format",
                )
        if not 1 <= self.version < 2**31:
            raise ConfigError(f"model version {self.version}", where="--model-version", remedy="1 or more")


@dataclasses.dataclass(frozen=True)
class Artefact:
    """One file or folder to write.

    Attributes:
        path: relative to the output folder.
        format: how it is written and run.
        form: how its weights are stored.
        frames: whether it reads frames alone (a SavedModel does both).
    """

    path: str
    format: Format
    form: Form = "float32"
    frames: bool = False


def artefacts(request: ExportRequest) -> list[Artefact]:
    """What a request writes, in order; forms in float32 come before the smaller ones made from them."""
    plan = []
    for kind in request.formats:
        if kind == "saved_model":
            plan.append(Artefact("saved_model", kind))
            plan += [Artefact("saved_model.float16", kind, "float16")] if "float16" in request.quantize else []
        elif kind == "onnx_text":
            plan.append(Artefact("captioner.text.onnx", kind))
        else:
            ending, smaller = ("onnx", "int8") if kind == "onnx" else ("tflite", "float16")
            plan.append(Artefact(f"captioner.{ending}", kind))
            plan += [Artefact(f"captioner.{smaller}.{ending}", kind, smaller)] if smaller in request.quantize else []
            plan += [Artefact(f"captioner_frames.{ending}", kind, frames=True)] if request.with_encoder else []
    return plan


def _check_known(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean '{near[0]}'?" if near else "one or more of " + ", ".join(known)
            raise ConfigError(f"'{name}' is not known", where=option, remedy=remedy)
    if len(set(given)) != len(given):
        raise ConfigError("named twice", where=option)
