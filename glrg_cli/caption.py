"""`glrg caption`: sentences for feature files.

Inputs are looked at before the captioner is loaded, so that a wrong path is told at once. One bad input, or one bad
video of a feature file, does not stop the others.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_tf.errors import ConfigError, DataError, FeatureError, GlrgError, VideoError

if TYPE_CHECKING:
    import numpy as np

    from glrg_tf.captioner.captioner import Caption, VideoCaptioner

HELP = "write captions for feature files"
DESCRIPTION = """\
Captions every video of the given feature files: a features.h5 of ours, a dataset folder that has one, or a file of
the GL-RG release (`feats` (N, 1700), optional `video_ids`). CAPTIONER is a run of `glrg train`, a captioner folder or
a preset name. A score is the natural logarithm of the caption's probability (with --compat release: minus the
perplexity, as the released code ranks).

Exits 3 when some inputs fail and 4 when all do; they are listed."""
EXAMPLES = """\
examples:
  glrg caption runs/a features.h5
  glrg caption runs/a features.h5 --beam 10 --n 3
  glrg caption runs/a features.h5 --json > captions.json"""

_CHUNK = 128  # videos between two movements of the progress bar
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class Failure:
    """An input, or one video of it, that could not be captioned."""

    id: str
    error: GlrgError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg caption`."""
    parser.add_argument("captioner", metavar="CAPTIONER", help="run folder, captioner folder or preset name")
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="feature file, or dataset folder with features")
    parser.add_argument("--beam", type=integer(1), metavar="K", help="hypotheses kept; 1 is greedy (default: 5)")
    parser.add_argument(
        "--n", type=integer(1), default=1, metavar="N", help="captions a video, best first (default: 1)"
    )
    parser.add_argument("--compat", choices=["release"], help="decode as the released code does")


def run(args: argparse.Namespace, console: Console) -> int:
    """Captions every input; returns 0, 3 (some failed) or 4 (all failed)."""
    if args.beam is not None and args.n > args.beam:
        raise ConfigError(f"--n {args.n} captions cannot come from --beam {args.beam}", remedy="raise --beam")
    files, failures = _look_at(args.inputs)
    results: list[dict[str, Any]] = []
    if files:
        from glrg_tf.captioner.captioner import VideoCaptioner

        captioner = VideoCaptioner.from_preset(args.captioner)
        beam = args.beam or max(args.n, captioner.decoding.beam_size)
        for path in files:
            try:
                store = _Features(path, captioner)
            except DataError as error:
                failures.append(Failure(str(path), error))
                continue
            results += _caption_file(captioner, store, beam, args, console, failures)
    _report(results, failures, console)
    if not failures:
        return 0
    return 3 if results else 4


def _look_at(inputs: list[str]) -> tuple[list[pathlib.Path], list[Failure]]:
    """Sorts inputs into readable feature files and failures, without reading more than a few bytes."""
    files, failures = [], []
    for name in inputs:
        try:
            files.append(_feature_file(pathlib.Path(name)))
        except DataError as error:
            failures.append(Failure(name, error))
    return files, failures


def _feature_file(path: pathlib.Path) -> pathlib.Path:
    if path.is_dir():
        if not (path / "features.h5").is_file():
            raise FeatureError("the folder has no features.h5", where=path, remedy="name the feature files themselves")
        path = path / "features.h5"
    if not path.is_file():
        raise DataError("no such file", where=path, remedy="check the path")
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from None
    if not start:
        raise DataError("the file is empty", where=path, remedy="copy it again")
    if start != _HDF5_SIGNATURE:
        if path.suffix.lower() in (".h5", ".hdf5"):
            raise FeatureError("not an HDF5 file", where=path, remedy="copy or extract it again")
        raise VideoError(
            "not a feature file, and the encoders that read videos are not part of this version",
            where=path,
            remedy="give a features.h5 or a release file with `feats` (N, 1700)",
        )
    return path


class _Features:
    """The videos of one feature file, in the columns that the captioner reads."""

    def __init__(self, path: pathlib.Path, captioner: VideoCaptioner) -> None:
        from glrg_tf.data.feature_layout import is_release_file
        from glrg_tf.data.feature_store import FeatureStore, read_feature_file

        self.path, self._names = path, captioner.config.stream_names
        self._store: FeatureStore | None = None
        if is_release_file(path):
            self.ids, self._values, widths = read_feature_file(path)
        else:
            self._store = FeatureStore(path)
            self.ids, widths = self._store.ids, self._store.streams
        for name, width in captioner.config.streams:
            if widths.get(name) != width:
                found = f"{name} of width {widths[name]}" if name in widths else f"no stream {name}"
                raise FeatureError(
                    f"the file has {found}, the captioner reads {name} of width {width}",
                    where=path,
                    remedy="extract the features that it was trained on: "
                    + ", ".join(f"{stream} {size}" for stream, size in captioner.config.streams),
                )
        ends, end = {}, 0
        for name, width in widths.items():
            ends[name] = (end, end + width)
            end += width
        self._columns = [column for name in self._names for column in range(*ends[name])]

    def read(self, first: int, last: int) -> np.ndarray:
        """float32 (last - first, D)."""
        if self._store is not None:
            return self._store.read(self.ids[first:last], self._names)
        return self._values[first:last][:, self._columns]

    def chunks(self, failures: list[Failure]) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
        """Ids and features, chunk by chunk; a chunk with a bad video is read video by video."""
        for first in range(0, len(self.ids), _CHUNK):
            last = min(first + _CHUNK, len(self.ids))
            try:
                yield self.ids[first:last], self.read(first, last)
            except FeatureError:
                for row in range(first, last):
                    try:
                        features = self.read(row, row + 1)
                    except FeatureError as error:
                        failures.append(Failure(self.ids[row], error))
                        continue
                    yield self.ids[row : row + 1], features


def _caption_file(
    captioner: VideoCaptioner,
    store: _Features,
    beam: int,
    args: argparse.Namespace,
    console: Console,
    failures: list[Failure],
) -> list[dict[str, Any]]:
    results = []
    with console.progress(len(store.ids), f"captioning {store.path.name}", "videos") as progress:
        for ids, features in store.chunks(failures):
            captions = captioner.generate(features, beam_size=beam, num_captions=args.n, compat=args.compat)
            results += [
                {"id": i, "captions": [_entry(c) for c in found]} for i, found in zip(ids, captions, strict=True)
            ]
            progress.update(len(ids))
    return results


def _entry(caption: Caption) -> dict[str, Any]:
    return {"text": caption.text, "score": float(caption.score), "token_ids": [int(i) for i in caption.token_ids]}


def _report(results: list[dict[str, Any]], failures: list[Failure], console: Console) -> None:
    if results:
        rows = [
            (video["id"] if rank == 0 else "", caption["score"], caption["text"])
            for video in results
            for rank, caption in enumerate(video["captions"])
        ]
        console.table("", ("video", "score", "caption"), rows)
    for failure in failures:
        where = failure.error.where if failure.error.where and failure.id not in failure.error.where else None
        details = "; ".join(part for part in (failure.error.what, where, failure.error.remedy) if part)
        console.error(f"{failure.id}: {details}")
    if failures:
        console.error(f"{len(failures)} failed, {len(results)} captioned")
    console.result(results + [{"id": f.id, "captions": [], "error": f.error.what} for f in failures])
