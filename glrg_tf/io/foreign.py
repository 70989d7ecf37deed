"""Reads files of foreign programs (pickles of any protocol) without running anything they say.

The project never calls `pickle.load`: a pickle is a program. Ours is walked by an inert machine that knows
dictionaries, lists, tuples, sets, text, bytes, numbers, NumPy arrays and scalars, `OrderedDict`,
`defaultdict` and `argparse.Namespace`, and refuses anything else before it acts (foreign_values.py has the
list). Torch files are read by `read_torch` (foreign_torch.py).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from glrg_tf.errors import DataError, GlrgError
from glrg_tf.io.foreign_opcodes import read_one
from glrg_tf.io.foreign_values import ForeignDict, RefusedError

__all__ = ["ForeignDict", "RefusedError", "read_pickle", "regular_file"]

MAX_PICKLE_BYTES = 96 << 20  # with what it may expand to, under half a gigabyte
REMEDY = "take the file again from where it was published; files from elsewhere may be hostile"


def read_pickle(path: str | os.PathLike[str], error: type[GlrgError] = DataError) -> Any:
    """Reads a foreign pickle (protocols 0 to 5, Python 2 or 3) as plain values.

    Args:
        path: the file, at most 96 MiB.
        error: what a refusal raises; `DataError` for data, `CheckpointError` for checkpoints.

    Returns:
        Plain Python values and NumPy arrays. `OrderedDict`, `defaultdict` and `argparse.Namespace` come as
        `ForeignDict`, a dictionary with their name as `kind` (a missing key is a `KeyError`). Python-2
        byte strings come as `str`: utf-8 where they are, else latin-1.

    Raises:
        error: the file is missing, malformed, too large, or holds anything else.
    """
    size = regular_file(path, error)
    if size > MAX_PICKLE_BYTES:
        raise error(f"the pickle is too large ({size >> 20} MiB)", where=path, remedy=REMEDY)
    try:
        value, end = read_one(Path(path).read_bytes())
        if end != size:
            raise RefusedError("there is something after the pickle's end")
    except RefusedError as refusal:
        raise error(f"the pickle was refused: {refusal}", where=path, remedy=REMEDY) from refusal
    return value


def regular_file(path: str | os.PathLike[str], error: type[GlrgError]) -> int:
    """Returns the size in bytes of an ordinary file; pipes, devices and folders are refused unopened.

    Raises:
        error: there is no such file, or it is not an ordinary one.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as problem:
        raise error("the file cannot be opened", where=path, remedy="check the path") from problem
    if not stat.S_ISREG(status.st_mode):
        raise error("this is not an ordinary file", where=path, remedy="name a file")
    return status.st_size
