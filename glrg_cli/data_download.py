"""`glrg data download`: brings the public GL-RG release, or parts of it, to this machine."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_tf.errors import DataError

if TYPE_CHECKING:
    from glrg_cli.common import Console
    from glrg_tf.data.download import Outcome, ReleaseFile

EXIT_SOME_FAILED = 3
NAMES = ("glrg-release",)
HERE = ("present", "downloaded")
TRUSTED = "trusted on first download"
EXAMPLES = """\
examples:
  glrg data download glrg-release --out glrg-release
  glrg data download glrg-release --out glrg-release --only 'data/*msvd*' --only 'model/*_msvd/*'
  glrg data download glrg-release --out glrg-release --from file:///mnt/mirror/GL-RG

Run it again after an interruption: it goes on where it stopped. The release publishes no hashes: those of the first
download are recorded in downloads.json, and every later run is held to them.

Then: glrg data import glrg-release glrg-release/data --name msrvtt --out data/msrvtt"""


def add_parser(actions: Any) -> None:
    """Adds `download` to the subcommands of `glrg data`."""
    parser = actions.add_parser("download", help="bring the public GL-RG release to this machine", epilog=EXAMPLES)
    parser.add_argument("name", metavar="NAME", choices=NAMES, help="glrg-release")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the files")
    parser.add_argument("--from", dest="source", metavar="URL", help="a mirror: https://, http://, file:// or a folder")
    parser.add_argument(
        "--only", metavar="PATTERN", action="append", default=[], help="files to bring, e.g. 'data/*msvd*'; repeatable"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Downloads and reports; returns 0, or 3 when files are wanting.

    A mirror may hold a part of the release: what it does not have is told and no failure, unless `--only` asked for it.

    Raises:
        DataError: nothing could be had.
    """
    from glrg_tf.data.download import release_manifest, select

    manifest = release_manifest()
    source = args.source or manifest.source
    outcomes = fetch_files(select(manifest.files, args.only), args.out, source, console)
    partial = args.source is not None and not args.only
    wanting = [o for o in outcomes if o.state == "failed" or (o.state == "missing" and o.required and not partial)]
    _report(outcomes, wanting, args.out, source, console)
    return EXIT_SOME_FAILED if wanting else 0


def fetch_files(files: Sequence[ReleaseFile], out: Path, source: str, console: Console) -> list[Outcome]:
    """Downloads with a progress bar.

    Raises:
        DataError: nothing could be had.
    """
    from glrg_tf.data.download import download

    console.interrupt_note = "what has arrived is kept; run again to go on"
    with console.progress(len(files), f"downloading from {source}", "files") as progress:
        arrived = 0

        def moved(path: str, count: int) -> None:
            nonlocal arrived
            arrived += count
            progress.update(0, mib=arrived >> 20)

        outcomes = download(files, out, source, progress=moved, report=lambda outcome: progress.update(1))
    console.interrupt_note = None
    if outcomes and not any(outcome.state in HERE for outcome in outcomes):
        first = outcomes[0]
        remedy = "check the connection, or name a mirror with --from"
        raise DataError(f"nothing could be downloaded; {first.path}: {first.notes[0]}", where=source, remedy=remedy)
    return outcomes


def _report(outcomes: Sequence[Outcome], wanting: Sequence[Outcome], out: Path, source: str, console: Console) -> None:
    here = [outcome for outcome in outcomes if outcome.state in HERE]
    rows = [[o.path, o.state, f"{o.bytes / 2**20:.1f}", o.sha256[:12], "; ".join(o.notes)] for o in here]
    console.table(f"GL-RG release in {out}", ["file", "state", "MiB", "sha256", "notes"], rows)
    for outcome in wanting:
        console.error(f"{outcome.path}: {outcome.notes[0]}")
    absent = [outcome for outcome in outcomes if outcome.state == "missing" and outcome not in wanting]
    if absent:
        names = ", ".join(outcome.path for outcome in absent if outcome.required) or "none that anything here needs"
        console.info(f"{len(absent)} files are not at the source: {names}")
    if any(TRUSTED in outcome.notes for outcome in here):
        console.info("the hashes of first downloads are recorded in downloads.json; later runs are held to them")
    console.result({"out": str(out), "source": source, "files": [dataclasses.asdict(o) for o in outcomes]})
