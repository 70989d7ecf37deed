"""`glrg convert torchvision`: weights of torchvision's backbones without PyTorch, from a file or their address."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_tf.errors import ConfigError

if TYPE_CHECKING:
    from glrg_cli.common import Console

HELP = "weights of a torchvision backbone (ResNeXt-101, ResNet-18, 3D-ResNet-18)"
EXAMPLES = """\
examples:
  glrg convert torchvision resnext101_32x8d-8ba56ff5.pth --arch resnext101_32x8d --out resnext101.h5
  glrg convert torchvision --download r3d_18 --out r3d_18.h5
  glrg convert torchvision --download resnet18 --from /mnt/mirror --out resnet18.h5
  glrg convert torchvision --describe resnext101_32x8d
  glrg convert torchvision --list

Downloads stay in the cache ($GLRG_CACHE, else ~/.cache/glrg-tf) and are used from there without a network. A file
whose name ends in eight hex digits (torchvision's do) must have a sha256 that begins with them."""


def add_parser(formats: Any) -> None:
    """Adds `torchvision` to the subcommands of `glrg convert`."""
    from glrg_tf.encoders.backbones.architectures import ARCHITECTURES

    parser = formats.add_parser("torchvision", help=HELP, description=HELP, epilog=EXAMPLES)
    parser.add_argument("checkpoint", metavar="FILE.pth", nargs="?", help="torch file, legacy or zip")
    parser.add_argument("--arch", metavar="ARCH", choices=tuple(ARCHITECTURES), help=" | ".join(ARCHITECTURES))
    parser.add_argument("--out", metavar="WEIGHTS.h5", help="the weights file to write")
    parser.add_argument("--download", metavar="NAME", help="published weights instead of a file (see --list)")
    parser.add_argument("--from", dest="source", metavar="URL", help="a mirror: https://, http://, file:// or a folder")
    parser.add_argument("--list", action="store_true", help="list the published weights")
    parser.add_argument(
        "--describe", metavar="ARCH", choices=tuple(ARCHITECTURES), help="print a backbone's stages and their shapes"
    )
    parser.add_argument("--layers", action="store_true", help="with --describe: every layer")
    parser.add_argument("--keys", action="store_true", help="with --describe: where every PyTorch tensor goes")
    parser.set_defaults(_convert=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """Lists, describes, or converts."""
    if args.list:
        return _list(console)
    if args.describe:
        return _describe(args, console)
    if args.download and args.checkpoint:
        raise ConfigError("a file and --download", where="`glrg convert torchvision`", remedy="give one of them")
    if not args.download and not (args.checkpoint and args.arch):
        remedy = "give FILE.pth --arch ARCH --out WEIGHTS.h5, or --download NAME --out WEIGHTS.h5"
        raise ConfigError("nothing to convert", where="`glrg convert torchvision`", remedy=remedy)
    if not args.out:
        raise ConfigError("no --out", where="`glrg convert torchvision`", remedy="name the file to write: --out W.h5")
    if args.source and not args.download:
        raise ConfigError("--from without --download", where="`glrg convert torchvision`", remedy="add --download NAME")
    return _convert(args, console)


def _convert(args: argparse.Namespace, console: Console) -> int:
    from glrg_tf.convert.torchvision_backbones import convert_torchvision, key_table

    arch, checkpoint = args.arch, args.checkpoint
    if args.download:
        if Path(args.out).exists():
            raise ConfigError("the output already exists", where=args.out, remedy="choose another --out or remove it")
        arch, checkpoint = _fetch(args, console)
    with console.progress(len(key_table(arch)), f"converting {arch}", "tensors") as progress:
        origin, reports = convert_torchvision(checkpoint, arch, args.out, progress=progress.update)
    rows = [
        [
            line.source,
            _shape(line.source_shape),
            line.target,
            _shape(line.target_shape),
            line.how,
            f"{line.minimum:+.3f}..{line.maximum:+.3f}",
        ]
        for line in reports
    ]
    console.table("Tensors", ["PyTorch", "shape", "backbone", "shape", "what happens", "range"], rows)
    numbers = sum(_size(line.target_shape) for line in reports if "moving_" not in line.target)
    labels = f" of {origin.labels}" if origin.labels else ""
    console.info(f"{arch}: {numbers:,} parameters, {origin.classes} classes{labels}; written to {args.out}")
    result = {"out": args.out, "parameters": numbers, **dataclasses.asdict(origin)}
    console.result({**result, "tensors": [dataclasses.asdict(line) for line in reports]})
    return 0


def _fetch(args: argparse.Namespace, console: Console) -> tuple[str, Path]:
    """The architecture and the file of published weights, downloaded where they are not in the cache."""
    from glrg_tf.encoders.weights import download_weights, public_weights

    weights = public_weights(args.download)
    if args.arch not in (None, weights.arch):
        raise ConfigError(f"'{weights.name}' is {weights.arch}, not {args.arch}", remedy="leave --arch out")
    console.interrupt_note = "what has arrived is kept; run again to go on"
    with console.progress(round(weights.mebibytes), f"fetching {weights.file}", "MiB") as progress:
        arrived = 0

        def moved(count: int) -> None:
            nonlocal arrived
            before, arrived = arrived >> 20, arrived + count
            progress.update((arrived >> 20) - before)

        file = download_weights(weights.name, source=args.source, progress=moved)
    console.interrupt_note = None
    console.info(f"{file}: its sha256 begins with {weights.sha256_prefix}, as published (no more of it is)")
    return weights.arch, file


def _list(console: Console) -> int:
    from glrg_tf.encoders.weights import PUBLIC_WEIGHTS, SOURCE

    columns = ["name", "architecture", "file", "MiB", "top-1 %", "sha256", "training"]
    rows = [
        [w.name, w.arch, w.file, f"{w.mebibytes:.0f}", f"{w.top1:.1f}", f"{w.sha256_prefix}...", w.note]
        for w in PUBLIC_WEIGHTS.values()
    ]
    console.table(f"Published weights ({SOURCE})", columns, rows)
    console.result([{**dataclasses.asdict(w), "sha256_prefix": w.sha256_prefix} for w in PUBLIC_WEIGHTS.values()])
    return 0


def _describe(args: argparse.Namespace, console: Console) -> int:
    arch = args.describe
    if args.keys:
        from glrg_tf.convert.torchvision_backbones import key_table

        table = key_table(arch)
        rows = [[p.source, _shape(p.source_shape), p.target, _shape(p.target_shape), p.how] for p in table]
        console.table(f"Tensors of {arch}", ["PyTorch", "shape", "backbone", "shape", "what happens"], rows)
        console.result([dataclasses.asdict(placement) for placement in table])
        return 0
    from glrg_tf.encoders.backbones.describe import describe, stage_rows

    lines = describe(arch)
    total = sum(line.parameters for line in lines)
    shown = lines if args.layers else stage_rows(lines)
    rows = [[line.name, line.kind, _shape(line.output), f"{line.parameters:,}"] for line in shown]
    console.table(arch, ["layer" if args.layers else "stage", "kind", "output", "parameters"], rows)
    console.info(f"{total:,} parameters")
    console.result({"arch": arch, "parameters": total, "layers": [dataclasses.asdict(line) for line in shown]})
    return 0


def _shape(shape: tuple[int | None, ...]) -> str:
    return " x ".join("?" if size is None else str(size) for size in shape)


def _size(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
