"""The public GL-RG release (github.com/ylqi/GL-RG): which files it has, and how they come to this machine.

`glrg_release_manifest.json` lists them. What the manifest does not know (their hashes are not published) is
recorded in `downloads.json` beside the files when they first arrive, and enforced from then on: trust on first use.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import atomic, documents, fetch

RECORD = "downloads.json"
MAX_FILE_BYTES = 512 << 20
_BEGINNINGS = {
    ".h5": (b"\x89HDF",),
    ".pkl": (b"\x80", b"("),
    ".pth": (b"\x80\x02", b"PK\x03\x04"),
    ".json": (b"[", b"{"),
}
State = Literal["present", "downloaded", "missing", "failed"]


@dataclass(frozen=True)
class ReleaseFile:
    """One file of the manifest.

    Attributes:
        path: below the release's root.
        required: whether its absence is a failure.
        expected_bytes: least and most bytes that its layout implies, where it does.
        bytes: its size, where it is known.
        sha256: its hash, or the first digits of it, where they are known.
    """

    path: str
    required: bool = True
    expected_bytes: tuple[int, int] | None = None
    bytes: int | None = None
    sha256: str | None = None


@dataclass
class Outcome:
    """What became of one file."""

    path: str
    state: State
    bytes: int = 0
    sha256: str = ""
    notes: list[str] = field(default_factory=list)
    required: bool = True


@dataclass(frozen=True)
class Manifest:
    """The release: where it is published, and its files."""

    source: str
    files: tuple[ReleaseFile, ...]


def release_manifest() -> Manifest:
    """Returns the committed manifest."""
    text = resources.files("glrg_tf.data").joinpath("glrg_release_manifest.json").read_text("utf-8")
    value = json.loads(text)
    files = []
    for row in value["files"]:
        fetch.check_name(row["path"])
        expected = row.get("expected_bytes")
        files.append(ReleaseFile(**{**row, "expected_bytes": tuple(expected) if expected else None}))
    return Manifest(value["source"], tuple(files))


def select(files: Sequence[ReleaseFile], patterns: Sequence[str]) -> list[ReleaseFile]:
    """Returns the files that match one of the patterns (`*` also spans slashes); all without patterns.

    Raises:
        ConfigError: a pattern matches nothing.
    """
    for pattern in patterns:
        if not any(fnmatchcase(file.path, pattern) for file in files):
            raise ConfigError(f"no file of the release matches '{pattern}'", remedy="for example 'data/*msvd*'")
    return [file for file in files if not patterns or any(fnmatchcase(file.path, p) for p in patterns)]


def download(
    files: Sequence[ReleaseFile],
    out: str | os.PathLike[str],
    source: str,
    *,
    progress: Callable[[str, int], None] | None = None,
    report: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Brings files of the release to `out`; those that are there and sound are left alone.

    Args:
        files: what to bring.
        out: the folder; files keep their paths below it.
        source: base address, http(s) or file, or a folder.
        progress: called with a path and the bytes that have just arrived.
        report: called with each outcome as it is known.

    Returns:
        One outcome a file. A failed file does not stop the others.

    Raises:
        ConfigError: the address is no address.
    """
    base, root = fetch.base_url(source), Path(out)
    root.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with _only_one(root):
        record = _read_record(root)
        unreachable = ""
        for file in files:
            try:
                if unreachable and not (root / file.path).is_file():
                    raise DataError(f"not tried: {unreachable}")
                outcome = _bring(file, root, base, record, progress)
            except fetch.NotThereError as error:
                outcome = Outcome(file.path, "missing", notes=[error.what], required=file.required)
            except DataError as error:
                outcome = Outcome(file.path, "failed", notes=[error.what], required=file.required)
                if isinstance(error, fetch.UnreachableError):
                    unreachable = error.what
            outcomes.append(outcome)
            if report:
                report(outcome)
    return outcomes


def _bring(
    file: ReleaseFile,
    root: Path,
    base: str,
    record: dict[str, dict[str, Any]],
    progress: Callable[[str, int], None] | None,
) -> Outcome:
    target = root / file.path
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise DataError("a link leads out of the download folder", where=target, remedy="remove the link")
    if target.is_file():
        outcome = _check(file, target, target, record)
        outcome.state = "present"
    else:
        moved = (lambda count: progress(file.path, count)) if progress else None
        fetched = fetch.fetch(base, file.path, target, max_bytes=MAX_FILE_BYTES, progress=moved)
        part = target.with_name(target.name + ".part")
        try:
            outcome = _check(file, part, target, record)
        except DataError:
            fetch.discard(target)
            raise
        fetch.finish(target)
        if fetched.resumed:
            outcome.notes.append(f"resumed at {fetched.resumed} bytes")
    if file.path not in record:
        record[file.path] = {"sha256": outcome.sha256, "bytes": outcome.bytes, "from": base}
        atomic.write_json(root / RECORD, {"files": record})
    return outcome


def _check(file: ReleaseFile, found: Path, target: Path, record: dict[str, dict[str, Any]]) -> Outcome:
    """Compares a file with the manifest and the record.

    Raises:
        DataError: it is another file, or no file of its kind.
    """
    size = found.stat().st_size
    _check_kind(found, target)
    sha256 = atomic.sha256_file(found)
    outcome = Outcome(file.path, "downloaded", size, sha256, required=file.required)
    wanted = {"the manifest": (file.bytes, file.sha256)}
    known = record.get(file.path)
    if known:
        wanted["its first download"] = (known["bytes"], known["sha256"])
    for origin, (want_size, want_sha256) in wanted.items():
        other = want_sha256 is not None and not (want_sha256 and sha256.startswith(want_sha256))
        if want_size not in (None, size) or other:
            remedy = f"remove it and run again; to accept a new version, remove its entry in {RECORD} too"
            raise DataError(f"the file differs from {origin} (sha256 {sha256[:16]}…)", where=target, remedy=remedy)
    if not known and len(file.sha256 or "") < len(sha256):
        outcome.notes.append("trusted on first download")
    if file.expected_bytes and not file.expected_bytes[0] <= size <= file.expected_bytes[1]:
        outcome.notes.append(f"{size} bytes, the published file should have about {file.expected_bytes[0]}")
    return outcome


def _check_kind(found: Path, target: Path) -> None:
    with open(found, "rb") as stream:
        head = stream.read(64)
    if head.startswith(b"version https://git-lfs"):
        raise DataError("a Git LFS pointer came instead of the file", where=target, remedy="use a mirror that has it")
    if not head.lstrip().startswith(_BEGINNINGS[target.suffix]):
        what = f"what came is no {target.suffix} file (a page that asks to log in?)"
        raise DataError(what, where=target, remedy="check the address, or use --from with a mirror")


def _read_record(root: Path) -> dict[str, dict[str, Any]]:
    path = root / RECORD
    if not path.exists():
        return {}
    value = documents.read_json(path)
    rows = value.get("files") if isinstance(value, dict) else None
    sound = isinstance(rows, dict) and all(
        isinstance(row, dict) and isinstance(row.get("bytes"), int) and isinstance(row.get("sha256"), str)
        for row in rows.values()
    )
    if not sound:
        raise DataError("the record of downloads is damaged", where=path, remedy="remove it to trust the files anew")
    return dict(rows)


@contextlib.contextmanager
def _only_one(root: Path) -> Iterator[None]:
    """Lets one process at a time download into a folder."""
    try:
        import fcntl
    except ImportError:  # not on this system: two downloads at once are the user's care
        yield
        return
    with open(root / ".lock", "w", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            remedy = "wait until the other one has ended"
            raise ConfigError("another process downloads into this folder", where=root, remedy=remedy) from error
        yield
