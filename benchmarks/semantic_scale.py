"""Visual GloVe over more clips than fit in memory, beside scikit-learn alone in the same run.

    python -m benchmarks.semantic_scale --stacks 1000000 --folder /tmp

Makes stacks of 1000 clips × 1024 float32 on disk, then in processes of their own, in turns: ours (codebook of one
pass, vectors, embeddings written to disk) and the plain form (scikit-learn's `partial_fit` and
`predict` over the same files one after another). Prints one JSON document: seconds of every stage, peak resident
memory, and the mean distance of clips to their words. Its files are removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from glrg_cli.common import Console
from glrg_tf.errors import GlrgError
from training.glove_reporting import GloveReporter

WIDTH, VIDEO, CENTRES = 1024, 1000, 3000
BATCH = 20_000


def main() -> None:
    """Runs the benchmark, or one side of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, default=50_000)
    parser.add_argument("--words", type=int, default=1500)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", choices=("ours", "plain"))
    options = parser.parse_args()
    console = Console()
    if options.side:
        print(json.dumps({"ours": ours, "plain": plain}[options.side](options, console)))
        return
    # In a folder of its own: what is removed at the end was made here.
    with tempfile.TemporaryDirectory(prefix="glrg-scale-", dir=options.folder) as scratch:
        options.folder = Path(scratch)
        seconds = generate(options.folder / "stacks", options.stacks, console)
        row = {"stacks": options.stacks, "bytes": options.stacks * WIDTH * 4, "generate_s": seconds}
        row |= {"machine": machine.describe(), "threads": options.threads}
        row |= {side: child(side, options) for side in ("ours", "plain")}
    row["ratio"] = (row["plain"]["codebook_s"] + row["plain"]["words_s"]) / (
        row["ours"]["codebook_s"] + row["ours"]["embedding_s"]
    )
    print(json.dumps(row, indent=1))


def generate(folder: Path, count: int, console: Console) -> float:
    """Writes the stacks: videos that walk among 3000 centres, so that words have neighbours; returns seconds."""
    started = time.perf_counter()
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    centres = random.gamma(1.0, 0.5, (CENTRES, WIDTH)).astype(np.float32)
    with console.progress(count, "generating", "clips") as bar:
        for video in range(-(-count // VIDEO)):
            rows = min(VIDEO, count - video * VIDEO)
            topic = np.repeat(random.integers(0, CENTRES // 20, -(-rows // 25)), 25)[:rows]
            values = centres[topic * 20 + random.integers(0, 20, rows)]
            values += 0.3 * random.standard_normal((rows, WIDTH), np.float32)
            np.save(folder / f"v{video:06d}_rgb.npy", values)
            bar.update(rows)
    return time.perf_counter() - started


def child(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own.

    Raises:
        GlrgError: it failed.
    """
    words = ["-m", "benchmarks.semantic_scale", "--side", side, "--folder", str(options.folder)]
    words += ["--words", str(options.words), "--threads", str(options.threads)]
    environment = {**os.environ, **machine.thread_environment(options.threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, *words], env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise GlrgError(f"the side '{side}' failed", where=" ".join(words))
    return json.loads(done.stdout.splitlines()[-1])


def ours(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Codebook, vectors, embeddings."""
    from glrg_tf.semantic import codebook as codebooks
    from glrg_tf.semantic.outputs import write_folder
    from glrg_tf.semantic.settings import CodebookConfig, GloveConfig
    from glrg_tf.semantic.stack_sources import open_stacks
    from training.glove import train

    row: dict[str, Any] = {}
    clock = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        row[name] = time.perf_counter() - clock
        row["peak_rss_mb"] = machine.peak_rss_mb()
        clock = time.perf_counter()

    config = CodebookConfig(options.words, BATCH, epochs=1)
    with open_stacks([options.folder / "stacks"]) as stacks:
        lap("open_s")
        with console.progress(len(stacks), "codebook", "clips") as bar:
            fit = codebooks.fit_codebook(stacks, config, progress=bar.update)
        lap("codebook_s")
        reporter = Bars(console)
        vectors = GloveConfig(epochs=3, patience=0)
        glove = train(stacks, config, vectors, codebook=fit.codebook, workers=options.threads, reporter=reporter)
        reporter.close()
        row["pairs"] = glove.report["pairs"]
        lap("words_pairs_vectors_s")
        with console.progress(len(stacks), "embedding", "clips") as bar:
            write_folder(glove, stacks, options.folder / "embedded", workers=options.threads, progress=bar.update)
        lap("embedding_s")
        row["mean_distance"] = mean_distance(options.folder, glove.codebook.centroids)
    return row


class Bars(GloveReporter):
    """A bar for each stage."""

    def __init__(self, console: Console) -> None:
        self._console, self._bar = console, console.progress(None, "", "")

    def stage(self, name: str, total: int | None, unit: str) -> None:
        """See `GloveReporter`."""
        self.close()
        self._bar = self._console.progress(total, name, unit)

    def advance(self, count: int, **fields: object) -> None:
        """See `GloveReporter`."""
        self._bar.update(count, **fields)

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.close()


def mean_distance(folder: Path, centroids: np.ndarray) -> float:
    """Mean Euclidean distance of the clips of 20 videos to the nearest centroid."""
    files = sorted((folder / "stacks").glob("*_rgb.npy"))
    means = []
    for number in np.random.default_rng(2).choice(len(files), min(len(files), 20), replace=False):
        rows = np.load(files[number], allow_pickle=False).astype(np.float64)
        squares = (rows * rows).sum(1)[:, None] - 2 * rows @ centroids.T + (centroids * centroids).sum(1)
        means.append(np.sqrt(np.maximum(squares.min(axis=1), 0)).mean())
    return float(np.mean(means))


def plain(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """scikit-learn over the same files one after another, as one would write it down."""
    from sklearn.cluster import MiniBatchKMeans

    files = sorted((options.folder / "stacks").glob("*_rgb.npy"))
    per_batch = BATCH // VIDEO
    groups = [files[start : start + per_batch] for start in range(0, len(files), per_batch)]

    def read(group: list[Path]) -> np.ndarray:
        return np.concatenate([np.load(file, allow_pickle=False) for file in group])

    means = MiniBatchKMeans(options.words, batch_size=BATCH, random_state=0, n_init=1, compute_labels=False)
    started = time.perf_counter()
    with console.progress(len(groups), "scikit-learn: partial_fit", "batches") as bar:
        for group in groups:
            means.partial_fit(read(group))
            bar.update()
    fitted = time.perf_counter()
    words = []
    with console.progress(len(groups), "scikit-learn: predict", "batches") as bar:
        for group in groups:
            words.append(means.predict(read(group)))
            bar.update()
    done = time.perf_counter()
    return {
        "codebook_s": fitted - started,
        "words_s": done - fitted,
        "words": len(np.unique(np.concatenate(words))),
        "mean_distance": mean_distance(options.folder, means.cluster_centers_),
        "peak_rss_mb": machine.peak_rss_mb(),
    }


if __name__ == "__main__":
    main()
