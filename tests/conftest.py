"""What every test may use: quiet TensorFlow, few threads, and the real sample data where it is at hand."""

from __future__ import annotations

import os
import pathlib

# Before anything imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Small products only: on a busy machine NumPy's threads wait for each other a hundred times longer than they work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real sample data: `$GLRG_SHARED`, or `../shared` beside the repository."""
    folder = pathlib.Path(os.environ.get("GLRG_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no sample data at {folder}: set GLRG_SHARED to the folder that holds data/msrvtt")
    return folder


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    """The repository root."""
    return ROOT
