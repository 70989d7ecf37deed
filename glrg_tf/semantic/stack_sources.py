"""Where clip features come from: folders of `.npy` stacks, or a `features.h5` with one vector per position.

FOLDER/NAME_rgb.npy     (T, D), one row a clip, in order of time
FOLDER/NAME_flow.npy    (T, D'), optional; takes part in concatenations only, never in clustering
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from glrg_tf.data import feature_layout
from glrg_tf.errors import DataError, FeatureError
from glrg_tf.io import documents, hdf5
from glrg_tf.io.npy import NpyFile, open_npy
from glrg_tf.semantic.stacks import Stacks

RGB_SUFFIX, FLOW_SUFFIX = "_rgb.npy", "_flow.npy"


class NpyStacks(Stacks):
    """Folders of `.npy` stacks; use `open_stacks`."""

    def __init__(
        self, folders: Sequence[Path], rgb_suffix: str, flow_suffix: str, keep: Collection[str] | None
    ) -> None:
        notes: list[str] = []
        found = _find(folders, rgb_suffix, flow_suffix)
        if keep is not None:
            found = _only(found, keep, folders, notes)
        self._files: list[NpyFile] = []
        self._flow: list[Path | None] = []
        names, empty = [], []
        for name, (rgb, flow) in found.items():
            stack = open_npy(rgb, ndim=2)
            if not stack.shape[0]:
                empty.append(name)
                continue
            first = self._files[0] if self._files else stack
            if stack.shape[1] != first.shape[1] or not stack.shape[1]:
                what = f"the stack is {stack.shape[1]} wide, others are {first.shape[1]} ({first.path.name})"
                raise FeatureError(what, where=rgb, remedy="use features of one extractor")
            names.append(name)
            self._files.append(stack)
            self._flow.append(flow)
        where = ", ".join(map(str, folders))
        if not names:
            raise FeatureError("no video has a clip", where=where, remedy="every stack is empty")
        if empty:
            notes.append(f"{len(empty)} videos are shorter than one clip: left out ({empty[0]}, …)")
        self.ids, self.notes = tuple(names), tuple(notes)
        self.offsets = np.cumsum([0, *(stack.shape[0] for stack in self._files)], dtype=np.int64)
        self.width = self._files[0].shape[1]
        self.source = {"kind": "npy", "path": where, "streams": [_stream_name(rgb_suffix)]}

    def has_flow(self, video: int) -> bool:
        """See `Stacks`."""
        return self._flow[video] is not None

    def flow(self, video: int) -> np.ndarray | None:
        """See `Stacks`."""
        path = self._flow[video]
        if path is None:
            return None
        stack = open_npy(path, ndim=2)
        wanted = self._files[video].shape[0]
        if stack.shape[0] != wanted:
            what = f"{stack.shape[0]} flow clips for {wanted} rgb clips"
            raise FeatureError(what, where=path, remedy="extract both streams of this video again")
        values = np.asarray(stack.rows(0, wanted), np.float32)
        if not np.isfinite(values).all():
            raise FeatureError("a flow clip is not finite", where=path, remedy="extract it again")
        return values

    def _read(self, video: int, first: int, last: int) -> np.ndarray:
        return self._files[video].rows(first, last)


class FeatureFileStacks(Stacks):
    """Streams of a `features.h5` with positions, side by side; use `open_stacks`."""

    def __init__(self, path: Path, streams: Sequence[str] | None, keep: Collection[str] | None) -> None:
        if feature_layout.is_release_file(path):
            remedy = "extract with `glrg extract --per-position`"
            raise FeatureError("the release's files hold one vector a video, not one a clip", where=path, remedy=remedy)
        self._handle, notes = h5py.File(path, "r"), []
        try:
            ids = feature_layout.read_ids(self._handle, "ids")
            names = list(streams or _stream_names(self._handle, path))
            self._values, offsets = self._open_streams(names, len(ids))
            chosen = np.arange(len(ids))
            if keep is not None:
                kept = _only({name: row for row, name in enumerate(ids)}, keep, [path], notes)
                chosen = np.array(list(kept.values()), np.int64)
            counts = np.diff(offsets)[chosen]
            self._starts = offsets[chosen]
            self.ids = tuple(ids[row] for row in chosen)
            self.offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            self.width = sum(values.shape[1] for values in self._values)
            self.notes = tuple(notes)
            self.source = {
                "kind": "features",
                "path": str(path),
                "streams": names,
                "attributes": {
                    "file": hdf5.attributes(self._handle),
                    **{f"stream '{name}'": hdf5.attributes(self._handle[f"streams/{name}"]) for name in names},
                },
            }
        except BaseException:
            self._handle.close()
            raise

    def close(self) -> None:
        """See `Stacks`."""
        self._handle.close()

    def _open_streams(self, names: Sequence[str], videos: int) -> tuple[list[h5py.Dataset], np.ndarray]:
        where = self._handle.filename
        found, offsets = [], None
        for name in names:
            values = hdf5.dataset(self._handle, f"streams/{name}/values", kinds=feature_layout.NUMBERS, ndim=2)
            if "offsets" not in hdf5.names(values.parent):
                raise FeatureError(
                    f"stream '{name}' keeps one vector a video, not one a clip",
                    where=where,
                    remedy="extract with `glrg extract --per-position`, or choose other --streams",
                )
            own = feature_layout.read_offsets(self._handle, name, videos, values.shape[0])
            if offsets is not None and not np.array_equal(own, offsets):
                what = f"'{names[0]}' and '{name}' have different positions"
                raise FeatureError(what, where=where, remedy="choose --streams with the same positions")
            offsets = own
            found.append(values)
        if offsets is None:
            raise FeatureError("the file has no streams", where=where, remedy="extract features first")
        return found, offsets

    def _read(self, video: int, first: int, last: int) -> np.ndarray:
        start = int(self._starts[video])
        parts = [hdf5.read_rows(values, start + first, start + last) for values in self._values]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def open_stacks(
    sources: Sequence[str | os.PathLike[str]],
    *,
    streams: Sequence[str] | None = None,
    keep: Collection[str] | None = None,
    rgb_suffix: str | None = None,
    flow_suffix: str = FLOW_SUFFIX,
) -> Stacks:
    """Opens clip features; only headers are read.

    Args:
        sources: folders of `.npy` stacks, or one `features.h5`.
        streams: of the `features.h5`, in this order; all but `semantic` without.
        keep: ids of the videos to take; all without.
        rgb_suffix: end of the stacks' file names; `_rgb.npy` where there are such files, else `.npy`.
        flow_suffix: end of the flow stacks' file names.

    Raises:
        FeatureError: nothing there, a damaged file, widths or positions that differ, pooled streams.
        DataError: none of the ids is there.
    """
    paths = [Path(source) for source in sources]
    files = [path for path in paths if path.is_file()]
    if files:
        if len(paths) > 1:
            raise FeatureError("one features file, or folders of stacks", where=paths[1], remedy="name one")
        return FeatureFileStacks(files[0], streams, keep)
    for path in paths:
        if not path.is_dir():
            raise FeatureError("no such file or folder", where=path, remedy="check the path")
    if streams is not None:
        raise FeatureError("streams are chosen of a features.h5, not of stacks", where=paths[0], remedy="--rgb-suffix")
    if rgb_suffix is None:
        rgb_suffix = RGB_SUFFIX if any(True for folder in paths for _ in folder.glob(f"*{RGB_SUFFIX}")) else ".npy"
    return NpyStacks(paths, rgb_suffix, flow_suffix, keep)


def read_id_list(path: str | os.PathLike[str]) -> list[str]:
    """Returns the ids of a list file: a JSON list, a JSON object's keys, or one id a line.

    Raises:
        DataError: missing or malformed file.
    """
    text = documents.read_text(path)
    if text.lstrip()[:1] in ("[", "{"):
        ids = list(documents.parse_json(text, path))
    else:
        ids = [line.strip() for line in text.splitlines()]
    if not all(isinstance(name, str) for name in ids):
        raise DataError("an id is no text", where=path, remedy="a JSON list of texts, or one id a line")
    return [name for name in ids if name]


def _find(folders: Sequence[Path], rgb_suffix: str, flow_suffix: str) -> dict[str, tuple[Path, Path | None]]:
    found: dict[str, tuple[Path, Path | None]] = {}
    for folder in folders:
        for path in sorted(folder.glob(f"*{rgb_suffix}")):
            name = path.name[: -len(rgb_suffix)]
            if not name or name.startswith(".") or (rgb_suffix == ".npy" and path.name.endswith(flow_suffix)):
                continue
            if name in found:
                what = f"the stacks of '{name}' are in two folders, {found[name][0].parent} too"
                raise FeatureError(what, where=path, remedy="keep one of them")
            flow = folder / (name + flow_suffix)
            found[name] = (path, flow if flow.is_file() else None)
    if not found:
        places = ", ".join(map(str, folders))
        raise FeatureError(f"no *{rgb_suffix} file was found", where=places, remedy="name the folder of the stacks")
    return dict(sorted(found.items()))


def _only(found: dict[str, Any], keep: Collection[str], places: Sequence[Path], notes: list[str]) -> dict[str, Any]:
    wanted = set(keep)
    kept = {name: value for name, value in found.items() if name in wanted}
    if not kept:
        example = next(iter(found))
        where = ", ".join(map(str, places))
        raise DataError("none of the listed ids is there", where=where, remedy=f"ids here look like '{example}'")
    if len(kept) < len(wanted):
        notes.append(f"{len(wanted) - len(kept)} listed ids have no features")
    return kept


def _stream_names(handle: h5py.File, path: Path) -> Iterator[str]:
    found = [name for name in hdf5.names(hdf5.resolve(handle, "streams")) if name != "semantic"]
    known = [name for name, _ in feature_layout.STREAMS_RELEASE]
    yield from sorted(found, key=lambda name: (known.index(name) if name in known else len(known), name))


def _stream_name(suffix: str) -> str:
    return suffix.removesuffix(".npy").strip("_") or "stack"
