"""Feeds every file of a folder to `glrg convert` and to `read_pickle`, in one process, and reports what it cost.

Run as a program: `python tests/io/hostile_batch.py FOLDER`; prints JSON
`{"rows": [{"name", "code", "seconds", "peak", "message"}], "before_mb": int, "tensorflow": bool}`.
"""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import sys
import time

from glrg_cli.main import main
from glrg_tf.errors import GlrgError
from glrg_tf.io.foreign import read_pickle


def peak_mb() -> int:
    """Most memory this process has held, in MB (`ru_maxrss` would count the parent that forked us)."""
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def convert(path: pathlib.Path, folder: pathlib.Path) -> tuple[int, str]:
    """Exit code and standard error of `glrg convert`."""
    words = [
        "convert",
        "glrg-release",
        str(path),
        "--vocabulary",
        str(folder / "vocab.json"),
        "--out",
        str(folder / "out"),
    ]
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        return main(words), errors.getvalue()


def load(path: pathlib.Path, _: pathlib.Path) -> tuple[int, str]:
    """What `glrg data import` would exit with."""
    try:
        read_pickle(path)
    except GlrgError as error:
        return error.exit_code, str(error)
    return 0, ""


def batch(folder: pathlib.Path) -> dict[str, object]:
    """Runs all files; `.pth` by `convert`, `.pkl` by `load`."""
    import glrg_cli.convert  # noqa: F401  (not part of any file's cost)
    import glrg_tf.convert.glrg_captioner  # noqa: F401

    before = peak_mb()
    rows = []
    for path in sorted([*folder.glob("*.pth"), *folder.glob("*.pkl")]):
        start = time.process_time()
        code, errors = (convert if path.suffix == ".pth" else load)(path, folder)
        seconds = time.process_time() - start
        rows.append({"name": path.name, "code": code, "seconds": seconds, "peak": peak_mb(), "message": errors[:300]})
    return {"rows": rows, "before_mb": before, "tensorflow": "tensorflow" in sys.modules}


if __name__ == "__main__":
    print(json.dumps(batch(pathlib.Path(sys.argv[1]))))
