"""`glrg zoo`: reproduces the published table: download, import, convert, evaluate, and print ours beside theirs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from glrg_cli.data_download import fetch_files
from glrg_cli.parser import integer
from glrg_tf.convert import zoo_presets
from glrg_tf.convert.zoo_presets import DATASETS, METRICS, PUBLISHED, STAGES, ZooModel
from glrg_tf.errors import CheckpointError, ConfigError, DataError, GlrgError

if TYPE_CHECKING:
    from glrg_cli.common import Console

HELP = "reproduce the published GL-RG table from the public release"
DESCRIPTION = """\
Downloads the checkpoints and the features and captions of one split, converts, captions (beam 5, as the released code
decodes) and scores them, and prints the table beside the paper's. What is already there is not done again.

The models can then be named anywhere a captioner is wanted: glrg-xe-msrvtt, glrg-dxe-msrvtt, glrg-dr-msrvtt,
glrg-xe-msvd, glrg-dxe-msvd, glrg-dr-msvd.

The paper does not say whether its MSVD numbers are of 670 test videos or of the 470 that the first release had."""
EXAMPLES = """\
examples:
  glrg zoo
  glrg zoo --datasets msrvtt --stages dxe,dr
  glrg zoo --from file:///mnt/mirror/GL-RG --datasets msrvtt --stages xe --split val
  glrg zoo --list"""
EXIT_SOME_FAILED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg zoo`."""
    parser.add_argument("--from", dest="source", metavar="URL", help="a mirror: https://, http://, file:// or a folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where things are kept (default: the cache)")
    parser.add_argument("--datasets", default="msrvtt,msvd", metavar="A,B", help="default: msrvtt,msvd")
    parser.add_argument("--stages", default="xe,dxe,dr", metavar="A,B", help="default: xe,dxe,dr")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test", help="default: test, as published")
    parser.add_argument("--beam", type=integer(1, 50), default=5, metavar="K", help="default: 5, as published")
    parser.add_argument("--compat", choices=("release", "none"), default="release", help="default: release")
    parser.add_argument("--list", action="store_true", help="only list the models and their published scores")


def run(args: argparse.Namespace, console: Console) -> int:
    """Reproduces the chosen rows; returns 0, or 3 when some of them failed.

    Raises:
        GlrgError: all of them failed.
    """
    models = [
        ZooModel(stage, dataset)
        for dataset in _chosen(args.datasets, DATASETS, "--datasets")
        for stage in _chosen(args.stages, STAGES, "--stages")
    ]
    if args.list:
        return _list(models, console)
    root = args.out or zoo_presets.cache_folder()
    rows: list[dict[str, Any]] = []
    problems: list[GlrgError] = []
    for dataset in dict.fromkeys(model.dataset for model in models):
        of_dataset = [model for model in models if model.dataset == dataset]
        try:
            material = _dataset(dataset, of_dataset, root, args, console)
        except GlrgError as error:
            problems += [error]
            console.error(f"{dataset}: {error}")
            continue
        for model in of_dataset:
            try:
                rows.append(_row(model, material, root, args, console))
            except GlrgError as error:
                problems += [error]
                console.error(f"{model.name}: {error}")
    if not rows:
        raise problems[0]
    _show(rows, args, console)
    console.result({"split": args.split, "beam": args.beam, "compat": args.compat, "rows": rows, "out": str(root)})
    return EXIT_SOME_FAILED if problems else 0


def _chosen(text: str, known: tuple[str, ...], option: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ConfigError(f"{option} '{text}' is not understood", remedy="choose from " + ",".join(known))
    return list(dict.fromkeys(names))


def _list(models: list[ZooModel], console: Console) -> int:
    console.table("Published (per cent)", ["name", *METRICS], [[m.name, *PUBLISHED[m.name]] for m in models])
    console.result([{"name": m.name, "published": dict(zip(METRICS, PUBLISHED[m.name], strict=True))} for m in models])
    return 0


def _dataset(dataset: str, models: list[ZooModel], root: Path, args: argparse.Namespace, console: Console) -> Any:
    """Downloads what the rows of one data set need and imports its split.

    Raises:
        GlrgError: the split's captions or features cannot be had, or are refused.
    """
    from glrg_tf.data.dataset import CaptionDataset
    from glrg_tf.data.download import release_manifest
    from glrg_tf.data.importers import ImportOptions, import_dataset

    captions = f"data/metadata/{dataset}_{args.split}_cocofmt.json"
    features = f"data/feature/{dataset}_{args.split}_gl_feats.h5"
    release, folder = root / "release", root / "datasets" / f"{dataset}-{args.split}"
    of_split = [] if folder.exists() else [captions, features]
    wanted = [model for model in models if not zoo_presets.captioner_folder(model.name, root).exists()]
    of_models = [models[0].vocabulary, *(model.checkpoint for model in wanted)] if wanted else []
    if of_split or of_models:
        source = args.source or release_manifest().source
        outcomes = fetch_files(zoo_presets.release_files(of_split + of_models), release, source, console)
        for outcome in outcomes:
            if outcome.path in of_split and outcome.state not in ("present", "downloaded"):
                raise DataError(f"it cannot be downloaded: {outcome.notes[0]}", where=outcome.path, remedy="see --from")
    if of_split:
        options = ImportOptions(features=(release / features,), name=dataset)
        for note in import_dataset("glrg-release", [release / captions], folder, options).description["notes"]:
            console.info(f"{dataset}: {note}")
    return CaptionDataset.load(folder)


def _row(model: ZooModel, dataset: Any, root: Path, args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Converts and evaluates one model.

    Raises:
        GlrgError: its checkpoint cannot be had or is refused.
    """
    folder = zoo_presets.captioner_folder(model.name, root)
    if not folder.exists():
        if not (root / "release" / model.checkpoint).is_file():
            what = "its checkpoint cannot be downloaded"
            raise CheckpointError(what, where=model.checkpoint, remedy="see --from, or leave it out with --stages")
        zoo_presets.convert(model, root / "release", folder)
    console.info(f"{model.name}: captioning and scoring")
    from glrg_tf.captioner.captioner import VideoCaptioner
    from training.evaluator import evaluate_captioner

    compat: Literal["release"] | None = "release" if args.compat == "release" else None
    captioner = VideoCaptioner.from_preset(folder)
    found = evaluate_captioner(captioner, dataset, args.split, beam_size=args.beam, compat=compat)
    return {
        "name": model.name,
        "captioner": str(folder),
        "videos": len(found.predictions),
        "scores": found.scores.overall,
        "published": dict(zip(METRICS, PUBLISHED[model.name], strict=True)),
        "predictions": found.predictions_json(),
    }


def _show(rows: list[dict[str, Any]], args: argparse.Namespace, console: Console) -> None:
    shown = []
    for row in rows:
        pairs = [(100 * row["scores"][metric], row["published"][metric]) for metric in METRICS]
        shown.append([row["name"], row["videos"], *(f"{ours:.2f} / {theirs:.1f}" for ours, theirs in pairs)])
    title = f"GL-RG on {args.split}: ours / published on test (per cent)"
    console.table(title, ["model", "videos", *METRICS], shown)
    if any(row["name"].endswith("msvd") for row in rows):
        console.info(
            "MSVD: the paper does not say whether it scored 670 or 470 test videos; see docs/release-bridge.md"
        )
