"""Text, JSON and JSON lines from files that nobody vouches for: missing, huge, not utf-8, malformed, all refused."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from glrg_tf.errors import DataError

MAX_BYTES = 2**30  # a caption file above this is not one: MSR-VTT's largest has 40 MB


def read_text(path: str | os.PathLike[str], *, error: type[DataError] = DataError, max_bytes: int = MAX_BYTES) -> str:
    """Returns a utf-8 file as text, line ends as they are, without a byte-order mark.

    Raises:
        DataError: (or `error`) missing, unreadable, larger than `max_bytes`, not utf-8.
    """
    file = Path(path)
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):  # a pipe or device may never end
            raise error("not an ordinary file", where=file, remedy="name a file")
        if status.st_size > max_bytes:
            what = f"the file has {status.st_size} bytes, at most {max_bytes} are read"
            raise error(what, where=file, remedy="wrong file?")
        return file.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        raise error("no such file", where=file, remedy="check the path") from None
    except OSError as cause:
        raise error(f"the file cannot be read ({cause.strerror})", where=file, remedy="check its rights") from None
    except UnicodeError as cause:
        raise error(f"the file is not utf-8 ({cause})"[:200], where=file, remedy="save it as utf-8") from None


def read_json(path: str | os.PathLike[str], *, error: type[DataError] = DataError, max_bytes: int = MAX_BYTES) -> Any:
    """Returns the value of a JSON file.

    Raises:
        DataError: (or `error`) as `read_text`, or no valid JSON (NaN and infinity are not JSON).
    """
    return parse_json(read_text(path, error=error, max_bytes=max_bytes), path, error=error)


def read_json_lines(
    path: str | os.PathLike[str], *, error: type[DataError] = DataError, growing: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the line number (from 1) and the object of every line that is not blank.

    Args:
        path: the file.
        error: what is raised.
        growing: whether somebody may be appending to it: a last line without its end is left out.

    Raises:
        DataError: (or `error`) as `read_text`, or a line that is no JSON object.
    """
    lines = read_text(path, error=error).split("\n")
    for number, line in enumerate(lines[:-1] if growing else lines, start=1):
        if line.strip():
            where = f"{path}: line {number}"
            value = parse_json(line, where, error=error)
            if not isinstance(value, dict):
                raise error(f"expected a JSON object, found {type(value).__name__}", where=where, remedy="mend it")
            yield number, value


def parse_json(text: str, where: object, *, error: type[DataError] = DataError) -> Any:
    """Returns the value of JSON `text` that comes from `where`.

    Raises:
        DataError: (or `error`) no valid JSON.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise error("the JSON is nested too deeply", where=where, remedy="wrong file?") from None
    except ValueError as cause:
        raise error(f"not valid JSON ({cause})", where=where, remedy="the file is damaged or incomplete") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
