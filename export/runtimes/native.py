"""Compiles and runs `caption.c`, which loads an exported SavedModel through TensorFlow's C API alone."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

from glrg_tf.errors import ConfigError, ExportError

SOURCE = Path(__file__).with_name("caption.c")
_SECONDS = 300  # of compiling or captioning; both take a few


def find_compiler() -> str | None:
    """The C compiler of this machine: `$CC`, cc, gcc or clang; None where there is none."""
    candidates = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((found for name in candidates if name and (found := shutil.which(name))), None)


def build(folder: str | os.PathLike[str]) -> Path:
    """Compiles the program against the libraries of the installed TensorFlow.

    Args:
        folder: where the program is put.

    Returns:
        The program.

    Raises:
        ConfigError: no compiler, or a TensorFlow without its C API.
        ExportError: it does not compile.
    """
    compiler, home = find_compiler(), _tensorflow()
    if compiler is None:
        raise ConfigError("no C compiler", remedy="install gcc or clang, or set CC")
    program = Path(folder) / "caption"
    command = [compiler, "-O2", "-Wall", "-o", str(program), str(SOURCE), f"-I{home / 'include'}", f"-L{home}"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{home}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        raise ExportError(f"the C program does not compile: {_last(done.stderr)}", where=SOURCE)
    return program


def caption(program: Path, saved_model: str | os.PathLike[str], features: np.ndarray) -> list[tuple[float, str]]:
    """Score and caption of each row of features float32 (N, D), by the C program.

    Args:
        program: what `build` made.
        saved_model: a version folder of an export, such as `exported/saved_model/1`.
        features: float32 (N, D).

    Raises:
        ExportError: the program fails.
    """
    rows = np.ascontiguousarray(features, np.float32)
    command = [str(program), os.fspath(saved_model), str(rows.shape[1])]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "PATH": os.environ.get("PATH", "")}
    done = subprocess.run(command, input=rows.tobytes(), capture_output=True, timeout=_SECONDS, env=environment)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        said = [line.removeprefix("caption: ") for line in lines if line.startswith("caption: ")]
        raise ExportError(f"the C program: {(said or [_last(chr(10).join(lines))])[0][:300]}", where=saved_model)
    found = [line.split("\t", 1) for line in done.stdout.decode().splitlines()]
    return [(float(score), text) for score, text in found]


def _tensorflow() -> Path:
    """The folder of the installed TensorFlow, without importing it."""
    found = importlib.util.find_spec("tensorflow")
    home = Path(found.origin).parent if found and found.origin else None
    if home is None or not (home / "libtensorflow_cc.so.2").is_file():
        raise ConfigError("the installed TensorFlow has no C library", where=home, remedy="use the Linux wheel")
    return home


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
