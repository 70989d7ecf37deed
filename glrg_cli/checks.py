"""`glrg checks`: what is installed and works on this machine.

Each check really does the thing (starts Java, opens ONNX Runtime), so that a "yes" here is a promise for the
commands that need it. Only what every command needs decides the exit code.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata

from glrg_cli.common import Console

HELP = "what is installed and works on this machine"
DESCRIPTION = """\
Tries what the other commands need: TensorFlow and its devices, Java for METEOR and the PTB tokenizer, ONNX Runtime,
tensorflow-io. Exits 1 when something that training and captioning cannot do without does not work."""
EXAMPLES = """\
examples:
  glrg checks
  glrg checks --json"""


@dataclasses.dataclass(frozen=True)
class Check:
    """The outcome of one check."""

    name: str
    works: bool
    detail: str  # version, path or the reason why not
    needed: bool  # whether training and captioning cannot do without it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`glrg checks` has only the options of every command."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs every check and prints them as a table."""
    checks = run_checks()
    rows = [(check.name, "yes" if check.works else "NO" if check.needed else "no", check.detail) for check in checks]
    console.table("What works here", ("what", "works", "detail"), rows)
    console.result({"checks": [dataclasses.asdict(check) for check in checks]})
    broken = [check.name for check in checks if check.needed and not check.works]
    if broken:
        console.error(f"needed and not working: {', '.join(broken)}; `make test` installs what is pinned")
    return 1 if broken else 0


def run_checks() -> list[Check]:
    """Every check, in the order of the table."""
    return [
        Check("python", sys.version_info >= (3, 11), f"{platform.python_version()} at {sys.executable}", True),
        Check("machine", True, f"{platform.system()} {platform.machine()}, {_cores()} cores", False),
        _try("tensorflow", _tensorflow, needed=True),
        _try("GPU", _gpus, needed=False),
        _try("keras", _keras, needed=True),
        _try("numpy", lambda: _version("numpy"), needed=True),
        _try("h5py", _h5py, needed=True),
        _try("rich", lambda: _version("rich"), needed=True),
        _try("tensorboard", lambda: _version("tensorboard"), needed=False),
        _try("pycocoevalcap", _pycocoevalcap, needed=True),
        _try("java", _java, needed=True),
        _try("onnxruntime", _onnxruntime, needed=False),
        _try("tf2onnx", lambda: f"{_version('tf2onnx')}, onnx {_version('onnx')}", needed=False),
        _try("tensorflow-io native", _tensorflow_io, needed=False),
    ]


def _try(name: str, check: Callable[[], str], needed: bool) -> Check:
    try:
        return Check(name, True, check(), needed)
    except Exception as error:  # whatever an installation can do wrong is what this command is there to say
        lines = str(error).strip().splitlines() or ["no reason given"]
        kind = "" if type(error) is RuntimeError else f"{type(error).__name__}: "
        return Check(name, False, kind + lines[0][:200], needed)


def _version(package: str) -> str:
    return metadata.version(package)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tensorflow() -> str:
    import tensorflow as tf

    total = float(tf.reduce_sum(tf.function(lambda x: tf.linalg.matmul(x, x))(tf.ones((8, 8)))))
    if total != 512.0:
        raise RuntimeError(f"a product of ones gave {total} instead of 512")
    return f"{tf.__version__}"


def _gpus() -> str:
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        raise RuntimeError("none found: the CPU is used")
    names = [tf.config.experimental.get_device_details(device).get("device_name", device.name) for device in devices]
    return f"{len(devices)}: {', '.join(names)}"


def _keras() -> str:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"{keras.__version__} runs on {keras.backend.backend()}: unset KERAS_BACKEND")
    return f"{keras.__version__}"


def _h5py() -> str:
    import h5py

    return f"{h5py.__version__}, HDF5 {h5py.version.hdf5_version}"


def _pycocoevalcap() -> str:
    import pycocoevalcap.cider.cider  # noqa: F401  (importing is the check)

    return _version("pycocoevalcap")


def _java() -> str:
    from glrg_tf.metrics.java import java_program

    program = java_program()
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=True)
    return f"{answer.stderr.splitlines()[0]} at {program}"


def _onnxruntime() -> str:
    import onnxruntime

    return f"{onnxruntime.__version__}, {', '.join(onnxruntime.get_available_providers())}"


def _tensorflow_io() -> str:
    """Works only if the native library loads: the Python package alone raises NotImplementedError when used."""
    try:
        version = _version("tensorflow-io")
    except metadata.PackageNotFoundError:
        raise RuntimeError("not installed (its wheels end at Python 3.12); nothing here needs it") from None
    import tensorflow as tf
    import tensorflow_io

    library = pathlib.Path(tensorflow_io.__file__).parent / "python" / "ops" / "libtensorflow_io.so"
    try:
        tf.load_op_library(str(library))
    except (tf.errors.NotFoundError, OSError) as error:
        reason = next((word for word in str(error).split(": ")[1:] if word), "it does not load")
        raise RuntimeError(
            f"{version} is built for TensorFlow 2.16 and its library does not load with {tf.__version__} "
            f"({reason[:80]}); h5py reads the same files"
        ) from None
    return version
