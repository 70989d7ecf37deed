"""NumPy files of strangers: headers are believed only where the file's size bears them out, pickles never."""

from __future__ import annotations

import io
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from glrg_tf.errors import DataError, FeatureError
from glrg_tf.io import npy


def test_rows_are_read_without_the_rest(tmp_path: pathlib.Path) -> None:
    values = np.arange(60, dtype=np.float64).reshape(12, 5)
    np.save(tmp_path / "a.npy", values)
    stack = npy.open_npy(tmp_path / "a.npy", ndim=2)
    assert (stack.shape, stack.dtype) == ((12, 5), np.float64)
    np.testing.assert_array_equal(stack.rows(3, 7), values[3:7])
    assert stack.rows(3, 3).shape == (0, 5)


def header(text: str, version: int = 1) -> bytes:
    raw = text.encode("latin-1")
    length = len(raw).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + raw


class Gadget:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path("/tmp/glrg-was-here"),))


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([Gadget()], object), allow_pickle=True)
    return buffer.getvalue()


HOSTILE = {
    "pickle": pickled(),
    "bare pickle": pickle.dumps([1, 2]),
    "empty": b"",
    "cut header": b"\x93NUMPY\x01\x00\x76\x00{'descr'",
    "shape past the end": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}\n"),
    "negative shape": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}\n"),
    "huge shape": header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 9)}\n"),
    "code": header("__import__('os').system('true')\n"),
    "deep": header("(" * 3000 + ")" * 3000 + "\n", 2),
    "text": header("{'descr': '<U4', 'fortran_order': False, 'shape': (0, 4)}\n"),
    "version 3": b"\x93NUMPY\x03\x00" + (80).to_bytes(4, "little") + b" " * 80,
    "too long a header": header("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4)}" + " " * 60000 + "\n", 2),
    "one axis": header("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}\n"),
    "fortran": header("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}\n") + bytes(16),
    "something after the end": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}\n") + bytes(9),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(FeatureError) as refusal:
        npy.open_npy(path, ndim=2)
    assert refusal.value.where == str(path)
    assert not pathlib.Path("/tmp/glrg-was-here").exists()


def test_missing_files_and_folders_are_refused(tmp_path: pathlib.Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.npy"):
        with pytest.raises(FeatureError):
            npy.open_npy(path)


def test_npz_round_trip_has_the_same_bytes(tmp_path: pathlib.Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2], np.int64)}
    npy.write_npz(tmp_path / "x.npz", arrays)
    npy.write_npz(tmp_path / "y.npz", arrays)
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()
    found = npy.read_npz(tmp_path / "x.npz", {"a": ("f", 2), "b": ("iu", 1)})
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as plain:
        np.testing.assert_array_equal(plain["a"], arrays["a"])


def test_npz_that_expands_or_holds_other_things_is_refused(tmp_path: pathlib.Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros((1000, 1000)))
    with pytest.raises(DataError, match="compressed"):
        npy.read_npz(tmp_path / "bomb.npz", {"a": ("f", 2)})
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="expected 2 axes"):
        npy.read_npz(tmp_path / "other.npz", {"a": ("f", 2)})
    with pytest.raises(DataError, match="cannot be read"):
        npy.read_npz(tmp_path / "other.npz", {"b": ("f", 1)})
    with zipfile.ZipFile(tmp_path / "pickle.npz", "w") as archive:
        archive.writestr("a.npy", pickled())
    with pytest.raises(DataError, match="pickled"):
        npy.read_npz(tmp_path / "pickle.npz", {"a": ("f", 1)})
    whole = (tmp_path / "other.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        npy.read_npz(tmp_path / "cut.npz", {"a": ("f", 1)})
    with pytest.raises(DataError, match="no such file"):
        npy.read_npz(tmp_path / "none.npz", {"a": ("f", 1)})
