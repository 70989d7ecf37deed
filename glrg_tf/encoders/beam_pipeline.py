"""Bulk extraction on an engine that is there already: an Apache Beam pipeline over the same function as the local pool.

A group of consecutive videos is one element (`extract.py`: a group is one batch of the networks, so its numbers depend
on nothing else). Each worker loads the encoders once, decodes and encodes its groups, and writes each result as one
file into a folder that the launcher sees too; finished groups are not done again. The launcher then reads them in
order, and everything after that (journal, resume, errors, `features.h5`) is `extract_file.py`'s: the same bytes.

    from glrg_tf.encoders.beam_pipeline import BeamGroups
    extract(bundle, items, "features.h5", groups=BeamGroups(["--runner=FlinkRunner", ...], parts="/shared/parts"))

Apache Beam is an extra of its own (requirements-beam.txt); docs/distributed.md has options for Flink, Spark, Dataflow.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_tf.encoders.beam_engine import require_beam, run_pipeline, stamp, unfinished
from glrg_tf.encoders.extract import GROUP, Encoded, Failed, Outcome, VideoItem, encode_groups
from glrg_tf.errors import VideoError
from glrg_tf.io import npy
from glrg_tf.video.reader import Limits

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle


class BeamGroups:
    """`encode_groups` by a Beam pipeline; what `extract(groups=...)` calls.

    Args:
        options: of the pipeline, as on Beam's command line; none is the DirectRunner in this process.
        parts: folder that launcher and workers share; results of groups and a copy of the encoders are kept in it.
        load: gives the encoders on a worker; by default they are saved to `parts` and loaded from there.
    """

    def __init__(self, options: Sequence[str], parts: str | os.PathLike[str], load: Any = None) -> None:
        self.options, self.parts, self.load = list(options), Path(parts), load

    def __call__(
        self,
        bundle: EncoderBundle,
        groups: Sequence[Sequence[VideoItem]],
        *,
        size: int = GROUP,
        workers: int | None = None,
        isolated: bool = True,
        limits: Limits | None = None,
    ) -> Iterator[list[Outcome]]:
        """See `extract.encode_groups`; `workers` is the engine's to choose.

        Raises:
            ConfigError: Beam is not installed, or the pipeline left results out.
        """
        require_beam()
        from glrg_tf.encoders.bundle import EncoderBundle

        self.parts.mkdir(parents=True, exist_ok=True)
        load = self.load or functools.partial(EncoderBundle.load, str(self._saved(bundle)))
        work = [(str(self._part(bundle, group, size, limits)), tuple(group)) for group in groups]
        run_pipeline(self.options, work, load, functools.partial(encode_to_file, settings=(size, isolated, limits)))
        for part, group in work:
            if not Path(part).is_file():
                raise unfinished(part)
            yield read_part(Path(part), group)

    def remove(self) -> None:
        """Takes the folder away, when the feature file is written."""
        shutil.rmtree(self.parts, ignore_errors=True)

    def _saved(self, bundle: EncoderBundle) -> Path:
        folder = self.parts / f"encoder-{bundle.fingerprint[:16]}"
        if not folder.exists():
            bundle.save(folder)
        return folder

    def _part(self, bundle: EncoderBundle, group: Sequence[VideoItem], size: int, limits: Limits | None) -> Path:
        """A group's file: named by all that its result depends on."""
        items = [[item.id, str(item.path), item.start, item.end, *stamp(item.path)] for item in group]
        allowed = dataclasses.asdict(limits or Limits())
        name = hashlib.sha256(json.dumps([bundle.fingerprint, size, allowed, items]).encode("utf-8")).hexdigest()
        return self.parts / f"{name[:32]}.npz"


def encode_to_file(bundle: EncoderBundle, part: str, group: Sequence[VideoItem], settings: tuple[Any, ...]) -> None:
    """The pure function of the pipeline: one group of videos to one file, whole or not at all."""
    size, isolated, limits = settings
    ((*outcomes,),) = encode_groups(bundle, [group], size=size, workers=0, isolated=isolated, limits=limits)
    arrays, about = {}, []
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, Failed):
            error = outcome.error
            about.append({"error": [error.what, str(error.where) if error.where else None, error.remedy]})
            continue
        frames = [outcome.expected, outcome.decoded, outcome.used]
        about.append({"frames": frames, "warnings": list(outcome.warnings), "streams": list(outcome.streams)})
        arrays |= {f"{place}.{name}": values for name, values in outcome.streams.items()}
    arrays["about"] = np.frombuffer(json.dumps(about).encode("utf-8"), np.uint8)
    npy.write_npz(part, arrays)


def read_part(part: Path, group: Sequence[VideoItem]) -> list[Outcome]:
    """What `encode_to_file` wrote."""
    about = json.loads(npy.read_npz(part, {"about": ("u", 1)})["about"].tobytes())
    names = [f"{place}.{name}" for place, entry in enumerate(about) for name in entry.get("streams", ())]
    arrays = npy.read_npz(part, {name: ("f", 2) for name in names})
    outcomes: list[Outcome] = []
    for place, (item, entry) in enumerate(zip(group, about, strict=True)):
        if "error" in entry:
            what, where, remedy = entry["error"]
            outcomes.append(Failed(item, VideoError(what, where=where, remedy=remedy)))
            continue
        streams = {name: arrays[f"{place}.{name}"] for name in entry["streams"]}
        outcomes.append(Encoded(item, streams, *entry["frames"], tuple(entry["warnings"])))
    return outcomes
