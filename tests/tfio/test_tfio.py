"""The tensorflow-io reader against the default one, bit for bit; `make test-tfio` runs this where it works."""

from __future__ import annotations

import os

import numpy as np
import pytest

from glrg_tf.data import tfio_backend
from glrg_tf.data.feature_store import FeatureStore, write_features
from glrg_tf.errors import ConfigError

MUST_WORK = os.environ.get("GLRG_TFIO_MUST_WORK") == "1"  # set by `make test-tfio`


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(1)
    pieces = [rng.random((1 + n % 3, 7), np.float32) for n in range(150)]
    values = {"keyframe": rng.normal(size=(150, 33)).astype(np.float32), "semantic": pieces}
    write_features(tmp_path / "features.h5", [f"v{n}" for n in range(150)], values, {"producer": "tests"})
    return tmp_path / "features.h5"


def working():
    reason = tfio_backend.problem()
    if reason is not None and MUST_WORK:
        pytest.fail(reason)
    return reason is None


def test_both_readers_give_the_same_bits(path):
    if not working():
        pytest.skip(f"{tfio_backend.problem()}; `make test-tfio`")
    with FeatureStore(path, "h5py") as plain, FeatureStore(path, "auto") as other:
        assert (plain.backend, other.backend) == ("h5py", "tfio")
        assert plain.ids == other.ids and plain.streams == other.streams
        assert plain.read(plain.ids).tobytes() == other.read(other.ids).tobytes()
        for name in plain.streams:
            for video in plain.ids:
                assert plain.positions(video, name).tobytes() == other.positions(video, name).tobytes()


def test_the_data_pipeline_of_tensorflow_io_reads_the_file(path):
    if not working():
        pytest.skip(f"{tfio_backend.problem()}; `make test-tfio`")
    import tensorflow as tf
    import tensorflow_io as tfio

    spec = tf.TensorSpec([None, 33], tf.float32)
    rows = tfio.IODataset.from_hdf5(os.fspath(path), dataset="/streams/keyframe/values", spec=spec)
    found = np.stack([row.numpy() for row in rows])
    with FeatureStore(path) as store:
        assert found.tobytes() == store.read(store.ids, ["keyframe"]).tobytes()


def test_elsewhere_it_says_so(path):
    if working():
        pytest.skip("tensorflow-io works here")
    with pytest.raises(ConfigError, match="tensorflow-io") as refusal:
        FeatureStore(path, "tfio")
    assert "requirements-tfio.txt" in refusal.value.remedy
    assert FeatureStore(path, "auto").backend == "h5py"


def test_other_names_are_refused(path, monkeypatch):
    monkeypatch.setenv("GLRG_FEATURE_BACKEND", "tfoi")
    with pytest.raises(ConfigError, match="unknown feature backend 'tfoi'"):
        FeatureStore(path)
