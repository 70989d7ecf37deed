"""What embedding writes: the published folder layout, or the stream `semantic` of a `features.h5`.

OUT/embeddings/NAME.npy           e, float32 (T, d)
OUT/words/NAME.npy                visual words, int32 (T,)
OUT/concatenated/NAME_rgb.npy     [rgb ; e], with flow [rgb ; e/2]
OUT/concatenated/NAME_flow.npy    with flow [flow ; e/2]
OUT/embedding.json                which codebook and vectors made it, shapes and conventions
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from glrg_tf.data.feature_layout import Attributes
from glrg_tf.data.feature_streams import StreamValues, add_stream, write_streams
from glrg_tf.errors import ConfigError, FeatureError
from glrg_tf.io import atomic
from glrg_tf.semantic.codebook import Progress, assign
from glrg_tf.semantic.embedding import STREAM, VisualGlove, concatenate
from glrg_tf.semantic.form import ClipEmbeddings, Form
from glrg_tf.semantic.stacks import Stacks

Concatenation = Literal["none", "rgb", "both"]


def write_folder(
    glove: VisualGlove,
    stacks: Stacks,
    out: str | os.PathLike[str],
    *,
    concatenation: Concatenation = "none",
    form: Form | None = None,
    others: Sequence[VisualGlove] = (),
    workers: int | None = None,
    progress: Progress = lambda clips: None,
) -> dict[str, Any]:
    """Writes the folder layout, whole or not at all, and returns the content of `embedding.json`.

    Args:
        glove: trained vectors.
        stacks: clips of the width and source it was trained on.
        out: must not exist.
        concatenation: "rgb" writes [rgb ; e] too, "both" [rgb ; e/2] and [flow ; e/2].
        form: of the embeddings; e itself without.
        others: further trainings on the same clips (form.py); the words written are those of `glove`.
        workers: threads that look up words.
        progress: told how many more clips are done.

    Raises:
        FeatureError: another width or source than in training, flow stacks missing.
        ConfigError: the folder exists; more components than dimensions.
    """
    gloves = (glove, *others)
    embeddings = ClipEmbeddings(gloves, form)
    words = words_of(gloves, stacks, workers, progress)
    with atomic.new_folder(out) as scratch:
        for number, name in enumerate(stacks.ids):
            first, last = stacks.span(number)
            own = [each[first:last] for each in words]
            _save(scratch / "words", name, "", own[0])
            embedded = embeddings.of(own)
            _save(scratch / "embeddings", name, "", embedded)
            if concatenation == "none":
                continue
            flow = stacks.flow(number) if concatenation == "both" else None
            if concatenation == "both" and flow is None:
                remedy = "extract the flow stream, or leave it out of the concatenation"
                raise FeatureError(f"video '{name}' has no flow stack", where=stacks.source["path"], remedy=remedy)
            rgb, both = concatenate(embedded, stacks.rows(first, last), flow)
            _save(scratch / "concatenated", name, "_rgb", rgb)
            if both is not None:
                _save(scratch / "concatenated", name, "_flow", both)
        description = {
            "format": "glrg-glove-embedding",
            "version": 1,
            **stream_attributes(gloves, embeddings),
            "videos": stacks.videos,
            "clips": len(stacks),
            "concatenation": concatenation,
            "factor": 0.5 if concatenation == "both" else 1.0,
            "source": dict(stacks.source),
        }
        atomic.write_json(scratch / "embedding.json", description)
    return description


def write_stream(
    glove: VisualGlove,
    stacks: Stacks,
    out: str | os.PathLike[str],
    *,
    pooled: bool = False,
    form: Form | None = None,
    others: Sequence[VisualGlove] = (),
    replace: bool = False,
    workers: int | None = None,
    progress: Progress = lambda clips: None,
) -> dict[str, Any]:
    """Writes a `features.h5` with the stream `semantic`, whole or not at all; returns videos, clips and width.

    A `features.h5` as source keeps its other streams. Stacks of a folder become streams of their own (`rgb`, and `flow`
    where every video has it).

    Args:
        glove: trained vectors.
        stacks: clips of the width and source it was trained on.
        out: the file; must not exist, unless `replace`. It may be the source itself.
        pooled: one mean vector a video instead of one a clip.
        form: of the embeddings; e itself without. Beside probabilities `unit` serves a captioner better: embeddings are
            many times as large as a row of probabilities and drown it (docs/visual-glove.md).
        others: further trainings on the same clips (form.py).
        replace: whether an existing file gives way.
        workers: threads that look up words.
        progress: told how many more clips are done.

    Raises:
        FeatureError: another width or source than in training.
        ConfigError: the file exists; more components than dimensions.
    """
    if Path(out).exists() and not replace:
        raise ConfigError("the output already exists", where=out, remedy="choose another --out or remove it")
    gloves = (glove, *others)
    embeddings = ClipEmbeddings(gloves, form)
    words = words_of(gloves, stacks, workers, progress)

    def values() -> Iterator[np.ndarray]:
        for number in range(stacks.videos):
            own = embeddings.of([each[slice(*stacks.span(number))] for each in words])
            yield own.mean(axis=0, keepdims=True, dtype=np.float64) if pooled else own

    counts = np.diff(stacks.offsets)
    own_counts = None if pooled else counts
    semantic = StreamValues(values(), embeddings.width, own_counts, stream_attributes(gloves, embeddings))
    if stacks.source["kind"] == "features":
        add_stream(stacks.source["path"], out, STREAM, semantic)
    else:
        rgb = (stacks.rows(*stacks.span(number)) for number in range(stacks.videos))
        streams = {str(stacks.source["streams"][0]): StreamValues(rgb, stacks.width, counts)}
        first = stacks.flow(0) if all(map(stacks.has_flow, range(stacks.videos))) else None
        if first is not None:
            flow = (part for part in map(stacks.flow, range(stacks.videos)) if part is not None)
            streams["flow"] = StreamValues(flow, first.shape[1], counts)
        write_streams(out, stacks.ids, {**streams, STREAM: semantic}, {"producer": "glrg glove embed"})
    return {"videos": stacks.videos, "clips": len(stacks), "width": embeddings.width, "pooled": pooled}


def stream_attributes(gloves: Sequence[VisualGlove], embeddings: ClipEmbeddings) -> Attributes:
    """Returns what the stream `semantic` says of its making."""
    glove = gloves[0]
    return {
        "producer": "Visual GloVe",
        "codebook": " + ".join(each.codebook.fingerprint for each in gloves),
        "words": glove.codebook.words,
        "window": glove.config.window,
        "dimensions": glove.dimensions,
        "components": embeddings.form.components,
        "smooth": embeddings.form.smooth,
        "scale": embeddings.scale,
        "weight": "1/distance" if glove.config.compat == "off" else "reference",
        "source": " + ".join(map(str, glove.source["streams"])),
    }


def words_of(
    gloves: Sequence[VisualGlove], stacks: Stacks, workers: int | None, progress: Progress
) -> list[np.ndarray]:
    """Returns the words of all clips in every codebook, int32 (N,) each.

    Raises:
        FeatureError: another width or source than in training.
    """
    for glove in gloves:
        glove.check_width(stacks.width, stacks.source["path"])
        glove.check_source(stacks.source)
    return [assign(glove.codebook, stacks, workers=workers, progress=progress)[0] for glove in gloves]


def _save(folder: Path, name: str, ending: str, array: np.ndarray) -> None:
    path = folder / f"{name}{ending}.npy"
    if path.parent != folder or name in ("", ".", ".."):
        raise FeatureError(f"'{name}' cannot be a file name", where=folder, remedy="write a features.h5: --out NAME.h5")
    folder.mkdir(exist_ok=True)
    with open(path, "wb") as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
