"""`glrg export`: a captioner as SavedModel, ONNX and LiteRT files, each compared with its source before it is kept."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.encoders import open_encoder
from glrg_cli.parser import add_selection, integer
from glrg_tf.errors import ConfigError

if TYPE_CHECKING:
    from export.plan import ExportRequest

HELP = "write a captioner as SavedModel, ONNX or LiteRT for use without Python"
DESCRIPTION = """\
Writes a captioner for TF Serving (saved_model), ONNX Runtime (onnx, and onnx_text with captions as strings) and phones
(litert). Every file is loaded again, run on real, made and hostile inputs in batches of 1, 7 and 32, and compared with
Keras; when one differs nothing is written and the command exits 5."""
EXAMPLES = """\
examples:
  glrg export runs/a --format saved_model,onnx --out exported/a
  glrg export runs/a --format saved_model,onnx,litert --quantize int8,float16 --data data/msrvtt --out exported/a
  glrg export runs/world --format saved_model,onnx --with-encoder --out exported/world"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg export`."""
    parser.add_argument("captioner", metavar="CAPTIONER", help="run folder, captioner folder or preset name")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write; an earlier export is replaced")
    parser.add_argument(
        "--format",
        default="saved_model,onnx",
        metavar="NAMES",
        help="of saved_model, onnx, onnx_text, litert, with commas (default: saved_model,onnx)",
    )
    parser.add_argument("--beam", type=integer(1), metavar="K", help="hypotheses kept (default: the captioner's)")
    add_selection(parser)
    parser.add_argument("--with-encoder", action="store_true", help="caption frames too: encoders in the same graph")
    told = "encoder folder or config, or a captioner that carries one (default: the captioner's own)"
    parser.add_argument("--encoder", metavar="ENC", help=told)
    parser.add_argument(
        "--quantize",
        default="",
        metavar="FORMS",
        help="smaller files too: int8 (onnx), float16 (saved_model, litert)",
    )
    parser.add_argument("--data", metavar="DATASET", help="compare on its videos, measure what smaller files lose")
    parser.add_argument("--split", default="val", help="split of --data (default: val)")
    parser.add_argument(
        "--max-loss", type=float, default=0.5, metavar="X", help="CIDEr points a smaller file may lose (default: 0.5)"
    )
    parser.add_argument(
        "--model-version",
        type=integer(1),
        default=1,
        metavar="N",
        help="number of the SavedModel's folder (default 1)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be written and how long it takes")


def run(args: argparse.Namespace, console: Console) -> int:
    """Exports, compares, prints what was written."""
    request = _request(args)
    from glrg_tf.data.dataset import CaptionDataset

    dataset = CaptionDataset.load(args.data) if args.data else None
    if dataset is not None:
        dataset.records(args.split)  # a wrong split is told before TensorFlow is loaded

    from export.exporter import Exporter
    from export.frames_parity import real_frames
    from export.manifest import Provenance
    from glrg_tf.captioner.captioner import VideoCaptioner
    from training.material import open_split

    provenance = Provenance.of(args.captioner)
    captioner = VideoCaptioner.from_preset(args.captioner)
    if args.selection:
        captioner.decoding = dataclasses.replace(captioner.decoding, selection=args.selection)
        captioner.check_selection(captioner.decoding)
    if args.encoder:
        captioner.encoders = open_encoder(args.encoder)
    split = open_split(dataset, args.split, captioner.config) if dataset is not None else None

    frames = (
        real_frames(args.data, split.ids) if split is not None and request.with_encoder and not args.dry_run else []
    )
    seed = 1 if args.seed is None else args.seed
    exporter = Exporter(captioner, request, split, console.info, seed, frames)
    target = exporter.target(args.out)
    if args.dry_run:
        from glrg_cli.export_plan import show

        show(exporter, target, console)
        return 0
    with console.progress(exporter.steps(), "exporting", "steps") as progress:

        def report(text: str) -> None:
            console.info(text)
            progress.update()

        exporter.report = report
        content = exporter.run(args.out, provenance)
    _show(content, args.out, console)
    return 0


def _request(args: argparse.Namespace) -> ExportRequest:
    from export.plan import ExportRequest

    if args.encoder and not args.with_encoder:
        raise ConfigError("--encoder is for frames", where="--encoder", remedy="add --with-encoder")
    return ExportRequest(
        formats=tuple(filter(None, args.format.split(","))),
        beam=args.beam,
        quantize=tuple(filter(None, args.quantize.split(","))),
        with_encoder=args.with_encoder,
        version=args.model_version,
        max_loss=args.max_loss,
    )


def _show(content: dict[str, Any], out: str, console: Console) -> None:
    columns = ["file", "reads", "weights", "MB", "of float32", "videos", "ties", "log-prob", "CIDEr lost"]
    rows = []
    for entry in content["artefacts"]:
        agreements = entry["agreement"]
        worst = [a[key] for a in agreements for key in ("log_prob_difference", "score_difference")]
        known = [value for value in worst if value is not None]
        rows.append(
            [
                entry["path"],
                entry["input"],
                entry["weights"],
                f"{entry['bytes'] / 1e6:.2f}",
                f"{entry['share_of_float32_weights']:.3f}",
                max(a["videos"] for a in agreements),
                max(sum(a["ties"].values()) if "ties" in a else 0 for a in agreements),
                f"{max(known):.1e}" if known else "",
                f"{entry['scores']['cider_loss_points']:.2f}" if "scores" in entry else "",
            ]
        )
    console.table(f"{out}: every file loaded, run and compared with Keras", columns, rows)
    console.result(content)
