"""`glrg glove embed|neighbours|plot`: what a trained Visual GloVe is good for."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.glove_sources import add_source_options, open_source
from glrg_cli.parser import integer
from glrg_tf.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from glrg_tf.semantic.embedding import ClipIndex, VisualGlove

_EMBED_EXAMPLES = """\
examples:
  glrg glove embed runs/glove i3d/ --out embedded                          # embeddings/NAME.npy, words/NAME.npy
  glrg glove embed runs/glove i3d/ --out embedded --concatenate rgb        # and [rgb ; e]
  glrg glove embed runs/glove i3d/ --out embedded --concatenate both       # and [rgb ; e/2], [flow ; e/2]
  glrg glove embed runs/glove --features features.h5 --out features+semantic.h5
  glrg glove embed runs/glove --features data/mine/features.h5 --out data/mine/features.h5     # in its place
  glrg glove embed runs/g1 i3d/ --with runs/g2 --with runs/g3 --components 8 --out embedded
  glrg glove embed runs/glove i3d/ --out features.h5                       # streams rgb, flow, semantic
  glrg glove embed runs/glove i3d/ --events data/activitynet --out data/activitynet/features.h5

With the new stream in a dataset (in its place as above, or `glrg data import … --features features+semantic.h5`):
  glrg train --data data/mine --out runs/a --streams long_range,short_range,keyframe,semantic"""
_NEIGHBOURS_EXAMPLES = """\
examples:
  glrg glove neighbours runs/glove v_QOlSCBRmfWY:3                  # clips like the fourth clip of that video
  glrg glove neighbours runs/glove v_QOlSCBRmfWY:3 i3d/ --other-videos   # clips of one word by their features too
  glrg glove neighbours runs/glove word:17                          # visual words like word 17"""
_PLOT_EXAMPLES = """\
examples:
  glrg glove plot runs/glove --out words.png
  glrg glove plot runs/glove --out words.png --videos clips/ --thumbnails 60
  glrg glove plot runs/glove --out words.png --method pca --highlight video7 --highlight video9"""


_METHODS = {"tsne": "t-SNE", "pca": "PCA"}


def add_parsers(actions: Any) -> None:
    """Adds the subcommands."""
    embed = actions.add_parser("embed", help="give clips their embeddings", epilog=_EMBED_EXAMPLES)
    embed.add_argument("glove", metavar="GLOVE", type=Path, help="folder of `glrg glove train`")
    add_source_options(embed, optional=True)
    embed.add_argument(
        "--features", metavar="FILE.h5", type=Path, help="a features.h5 that gains the stream `semantic`"
    )
    embed.add_argument("--out", metavar="OUT", type=Path, required=True, help="a new folder, or a new NAME.h5")
    embed.add_argument(
        "--concatenate", choices=("none", "rgb", "both"), default="none", help="write concatenations too (see below)"
    )
    embed.add_argument(
        "--scale",
        choices=("auto", "unit", "raw"),
        default="auto",
        help="unit: absolute values sum to 1 on average, as probabilities; auto: unit beside other streams, else raw",
    )
    embed.add_argument(
        "--components",
        type=integer(1, 4096),
        metavar="N",
        default=0,
        help="write the N main directions of the embeddings only (default: all of e)",
    )
    embed.add_argument(
        "--with",
        metavar="GLOVE",
        type=Path,
        action="append",
        default=[],
        dest="others",
        help="a further training on the same clips, of another --seed; repeatable; takes --components",
    )
    embed.add_argument(
        "--smooth", type=integer(0, 10_000), metavar="N", default=0, help="mean over N clips on each side (default: 0)"
    )
    embed.add_argument("--events", metavar="DATASET", type=Path, help="write the clips of this dataset's events only")
    embed.add_argument("--clip-seconds", metavar="S", type=float, default=2.56, help="for --events (default: 2.56)")
    embed.add_argument("--pooled", action="store_true", help="one mean vector a video in the .h5, not one a clip")

    near = actions.add_parser("neighbours", help="find clips and words alike", epilog=_NEIGHBOURS_EXAMPLES)
    near.add_argument("glove", metavar="GLOVE", type=Path, help="folder of `glrg glove train`")
    near.add_argument("query", metavar="CLIP", help="ID:POSITION, positions from 0, or word:NUMBER")
    add_source_options(near, optional=True, videos=False)
    near.add_argument("--count", type=integer(1), metavar="N", default=10, help="neighbours (default: 10)")
    near.add_argument("--other-videos", action="store_true", help="leave clips of the same video out")

    plot = actions.add_parser("plot", help="draw the visual vocabulary", epilog=_PLOT_EXAMPLES)
    plot.add_argument("glove", metavar="GLOVE", type=Path, help="folder of `glrg glove train`")
    plot.add_argument("--out", metavar="FILE.png", type=Path, required=True, help="the picture to write")
    plot.add_argument("--method", choices=("tsne", "pca"), default="tsne", help="default: tsne")
    plot.add_argument("--highlight", metavar="ID", action="append", default=[], help="a training video; repeatable")
    plot.add_argument("--videos", metavar="DIR", type=Path, help="folder of the training videos, for thumbnails")
    plot.add_argument("--thumbnails", type=integer(1, 1000), metavar="N", default=40, help="most frames (default: 40)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the chosen subcommand."""
    return {"embed": _embed, "neighbours": _neighbours, "plot": _plot}[args.action](args, console)


def _embed(args: argparse.Namespace, console: Console) -> int:
    from glrg_tf.data.attach import attach_features, is_feature_file_of_dataset
    from glrg_tf.data.dataset import CaptionDataset
    from glrg_tf.semantic.artefact import load_glove
    from glrg_tf.semantic.events import write_events
    from glrg_tf.semantic.form import Form
    from glrg_tf.semantic.outputs import write_folder, write_stream

    sources, to_file, in_place = _check_embed(args)
    glove, others = load_glove(args.glove), [load_glove(folder) for folder in args.others]
    trained = glove.source["streams"] if glove.source["kind"] == "features" else None
    with (
        open_source(args, console, sources, trained) as stacks,
        console.progress(len(stacks) * (1 + len(others)), "visual words", "clips") as bar,
    ):
        small = args.scale == "unit" or (args.scale == "auto" and to_file and stacks.source["kind"] == "features")
        form = Form(args.components, args.smooth, small)
        shared: dict[str, Any] = {"form": form, "others": others, "workers": args.workers, "progress": bar.update}
        if args.events is not None:
            records = CaptionDataset.load(args.events).records()
            made = write_events(glove, stacks, records, args.out, clip_seconds=args.clip_seconds, **shared)
        elif to_file:
            made = write_stream(glove, stacks, args.out, pooled=args.pooled, replace=in_place, **shared)
        else:
            made = write_folder(glove, stacks, args.out, concatenation=args.concatenate, **shared)
    if made.get("missing"):
        console.warning(f"{len(made['missing'])} events have no stacks: left out ({', '.join(made['missing'][:3])}, …)")
    if to_file and is_feature_file_of_dataset(args.out):
        attach_features(args.out.parent)
    width = args.components or glove.dimensions
    console.info(f"embeddings of {made['clips']:,} clips, {width} wide, in {args.out}")
    console.result({"out": str(args.out), **made})
    return 0


def _check_embed(args: argparse.Namespace) -> tuple[list[Path], bool, bool]:
    """What is read, whether the output is a features.h5, and whether it takes the place of the source.

    Raises:
        ConfigError: options that do not go together, an output that is there.
    """
    if bool(args.source) == bool(args.features):
        raise ConfigError("name folders of stacks, or --features FILE.h5", remedy="`glrg glove embed --help`")
    sources = [args.features] if args.features else args.source
    of_file = bool(args.encoder) or sources[0].is_file()
    to_file = args.out.suffix.lower() in (".h5", ".hdf5")
    in_place = args.features is not None and args.out.exists() and args.out.samefile(args.features)
    wrong = (
        (of_file and not to_file, "a features.h5 gains a stream in another one", "--out", "--out NAME.h5"),
        (of_file and args.ids, "a stream belongs to all videos of a features.h5", "--ids", "leave --ids out"),
        (of_file and args.events, "--events reads stacks of whole videos", "--events", "name folders of stacks"),
        (args.events and not to_file, "the features of events are a features.h5", "--out", "--out NAME.h5"),
        (args.clip_seconds <= 0, "a clip lasts longer than that", "--clip-seconds", "64 frames at 25 a second: 2.56"),
        (to_file and args.concatenate != "none", "concatenations are a folder of stacks", "--out", "--out FOLDER"),
        (
            args.scale == "unit" and (not to_file or args.events),
            "published files hold e itself",
            "--scale",
            "leave it out",
        ),
        (args.pooled and not to_file, "pooled streams belong into a features.h5", "--out", "--out NAME.h5"),
        (args.pooled and args.events, "events keep every clip; they are pooled on reading", "--pooled", "leave it out"),
        (
            args.out.exists() and not in_place,
            "the output already exists",
            args.out,
            "choose another --out or remove it",
        ),
    )
    for is_so, what, where, remedy in wrong:
        if is_so:
            raise ConfigError(what, where=where, remedy=remedy)
    return list(sources), to_file, in_place


def _neighbours(args: argparse.Namespace, console: Console) -> int:
    from glrg_tf.semantic import neighbours
    from glrg_tf.semantic.artefact import load_glove

    glove = load_glove(args.glove)
    word = re.fullmatch(r"word:(\d+)", args.query)
    if word:
        found = neighbours.nearest_words(glove, int(word[1]), args.count)
        counts = glove.clips.counts
        rows: list[tuple[object, ...]] = [
            (near, similarity, int(counts[near]), _example(glove, near)) for near, similarity in found
        ]
        console.table(
            f"Words like word {word[1]} ({_example(glove, int(word[1]))})", ("word", "cosine", "clips", "example"), rows
        )
        console.result([{"word": near, "similarity": similarity} for near, similarity in found])
        return 0
    name, colon, position = args.query.rpartition(":")
    if not colon or not position.isdecimal():
        raise ConfigError(f"'{args.query}' names no clip", remedy="ID:POSITION, such as video7:3, or word:17")
    clips = _search(args, console, glove, name, int(position))
    table = [
        (clip.id, clip.position, clip.word, clip.similarity, "" if clip.distance is None else f"{clip.distance:.3f}")
        for clip in clips
    ]
    console.table(f"Clips like {args.query}", ("video", "position", "word", "cosine", "distance"), table)
    console.result([vars(clip) for clip in clips])
    return 0


def _search(args: argparse.Namespace, console: Console, glove: VisualGlove, name: str, position: int) -> list[Any]:
    from glrg_tf.semantic import neighbours

    if not args.source:
        row = neighbours.find_row(glove.clips, name, position)
        return neighbours.nearest_clips(glove, glove.clips, row, args.count, other_videos=args.other_videos)
    trained = glove.source["streams"] if glove.source["kind"] == "features" else None
    with open_source(args, console, streams=trained) as stacks:
        index = _index(glove, stacks, args.workers, console)
        row = neighbours.find_row(index, name, position)
        return neighbours.nearest_clips(glove, index, row, args.count, stacks=stacks, other_videos=args.other_videos)


def _index(glove: VisualGlove, stacks: Any, workers: int | None, console: Console) -> ClipIndex:
    from glrg_tf.semantic.codebook import assign
    from glrg_tf.semantic.embedding import ClipIndex

    glove.check_width(stacks.width, stacks.source["path"])
    glove.check_source(stacks.source)
    with console.progress(len(stacks), "visual words", "clips") as bar:
        words, squares = assign(glove.codebook, stacks, workers=workers, progress=bar.update)
    return ClipIndex.build(stacks.ids, stacks.offsets, words, squares, glove.codebook.words)


def _example(glove: VisualGlove, word: int) -> str:
    row = int(glove.clips.representatives[word])
    return "no clip" if row < 0 else "{}:{}".format(*glove.clips.locate(row))


def _plot(args: argparse.Namespace, console: Console) -> int:
    from glrg_tf.semantic import plot
    from glrg_tf.semantic.artefact import load_glove

    if args.out.suffix.lower() != ".png":
        raise ConfigError("the picture is a PNG", where=args.out, remedy="--out NAME.png")
    glove = load_glove(args.glove)
    videos = plot.words_of_videos(glove, args.highlight)
    with console.progress(None, _METHODS[args.method], "words"):
        words, places = plot.project(glove, args.method, args.seed or 0)
    pictures = _pictures(args, console, glove, words, places) if args.videos else {}
    title = f"{len(words)} visual words, {_METHODS[args.method]}"
    plot.draw(args.out, words, places, videos=videos, thumbnails=pictures, title=title)
    shared = set.intersection(*videos.values()) if len(videos) > 1 else set()
    console.info(
        f"{args.out}: {len(words)} words, {len(pictures)} frames, {len(shared)} words shared by all highlighted"
    )
    console.result(
        {
            "picture": str(args.out),
            "words": len(words),
            "thumbnails": len(pictures),
            "videos": {name: sorted(own) for name, own in videos.items()},
            "shared": sorted(shared),
        }
    )
    return 0


def _pictures(
    args: argparse.Namespace, console: Console, glove: VisualGlove, words: np.ndarray, places: np.ndarray
) -> dict[int, Any]:
    from glrg_tf.semantic import plot
    from glrg_tf.semantic.thumbnails import find_videos, thumbnails

    files = find_videos(args.videos)
    known = [
        index
        for index, word in enumerate(words)
        if (row := int(glove.clips.representatives[word])) >= 0 and glove.clips.locate(row)[0] in files
    ]
    if not known:
        console.warning(f"no training video is in {args.videos}: files are looked for by id")
        return {}
    chosen = [int(words[known[index]]) for index in plot.spread_words(places[known], args.thumbnails)]
    with console.progress(len(chosen), "frames", "frames") as bar:
        pictures, problems = thumbnails(glove, chosen, files, progress=bar.update)
    for problem in problems:
        console.warning(problem)
    return pictures
