"""Files that are either whole or absent: write beside, fsync, rename; folders with a sha256 manifest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from glrg_tf.errors import CheckpointError, ConfigError

MANIFEST = "manifest.json"


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces `path` by `data` so that a reader sees the old file or the new one, never a part."""
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=_parent(target))
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
        sync(target.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Atomic utf-8 text (see `write_bytes`)."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Atomic indented JSON; refuses NaN and infinity, which JSON does not have."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def write_json_lines(path: str | os.PathLike[str], rows: Iterable[Any]) -> None:
    """Atomic JSON lines, one value a line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Yields a scratch folder that becomes `path` when the block succeeds and vanishes when it fails.

    Args:
        path: the final folder.
        replace: whether an existing folder is swapped out; otherwise it is refused before any work.

    Raises:
        ConfigError: `path` exists and `replace` is false.
    """
    target = Path(path)
    if target.exists() and not replace:
        raise ConfigError("the output already exists", where=target, remedy="choose another --out or remove it")
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=_parent(target)))
    try:
        yield scratch
        for file in scratch.rglob("*"):
            if file.is_file():
                sync(file)
        os.chmod(scratch, 0o777 & ~_umask())
        if target.exists():
            retired = scratch.with_suffix(".old")
            os.replace(target, retired)
            os.replace(scratch, target)
            shutil.rmtree(retired, ignore_errors=True)
        else:
            os.replace(scratch, target)
        sync(target.parent)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


@contextlib.contextmanager
def own_folder(path: str | os.PathLike[str], files: Sequence[str], kind: str) -> Iterator[Path]:
    """`new_folder` that replaces an empty folder or one of its own kind, known by its files, and nothing else.

    Args:
        path: the final folder.
        files: what every folder of the kind holds together, and no other: a run has a `config.json` too.
        kind: what to call it.

    Raises:
        ConfigError: `path` exists and holds something else.
    """
    target = Path(path)
    empty = target.is_dir() and not any(target.iterdir())
    if target.exists() and not empty and not all((target / file).is_file() for file in files):
        raise ConfigError(f"the folder exists and is no {kind}", where=target, remedy="choose another one")
    with new_folder(target, replace=True) as folder:
        yield folder


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hex sha256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: str | os.PathLike[str], **extra: Any) -> None:
    """Writes `manifest.json`: `{"files": {name: {"sha256", "bytes"}}, **extra}` of every file below `folder`."""
    root = Path(folder)
    files = {
        str(file.relative_to(root)): {"sha256": sha256_file(file), "bytes": file.stat().st_size}
        for file in sorted(root.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    write_json(root / MANIFEST, {**extra, "files": files})


def verify_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Checks every file of a folder against its manifest and returns the manifest.

    Raises:
        CheckpointError: manifest missing or malformed; a file missing, truncated or altered.
    """
    root = Path(folder)
    try:
        manifest = json.loads((root / MANIFEST).read_text("utf-8"))
        files = manifest["files"].items()
        wanted = [(str(name), str(entry["sha256"]), int(entry["bytes"])) for name, entry in files]
    except FileNotFoundError:
        raise CheckpointError("no manifest.json", where=root, remedy="is this the right folder?") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"manifest.json is damaged ({error})", where=root) from error
    for name, sha256, size in wanted:
        file = root / name
        if not file.resolve().is_relative_to(root.resolve()):
            raise CheckpointError("the manifest names a file outside its folder", where=f"{root}: {name}")
        if not file.is_file():
            raise CheckpointError("a file of the manifest is missing", where=file, remedy="copy the whole folder again")
        if file.stat().st_size != size or sha256_file(file) != sha256:
            raise CheckpointError("a file differs from its manifest", where=file, remedy="it is damaged; restore it")
    return manifest


def _parent(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def sync(path: Path) -> None:
    """Returns when a file's bytes, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
