"""HDF5 files from strangers: what is refused, and before how much memory is spent."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from glrg_tf.errors import AnnotationError, DataError, FeatureError
from glrg_tf.io import hdf5
from glrg_tf.io.hdf5_heap import sound_heaps


def _virtual(handle: h5py.File) -> None:
    layout = h5py.VirtualLayout((2, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (2, 2))
    handle.create_virtual_dataset("x", layout)


def _external_storage(handle: h5py.File) -> None:
    handle.create_dataset("x", (2, 2), "f4", external=[("/etc/passwd", 0, 16)])


REFUSED: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "missing": (lambda h: h.create_dataset("y", data=np.ones((2, 2))), "'x' is missing"),
    "group": (lambda h: h.create_group("x"), "is a group"),
    "one axis": (lambda h: h.create_dataset("x", data=np.ones(4)), "expected 2 axes"),
    "scalar": (lambda h: h.create_dataset("x", data=1.0), "expected 2 axes"),
    "null": (lambda h: h.create_dataset("x", data=h5py.Empty("f4")), "expected 2 axes"),
    "text": (lambda h: h.create_dataset("x", data=np.array([["a"]], "S")), "expected numbers"),
    "bool": (lambda h: h.create_dataset("x", data=np.ones((2, 2), bool)), "expected numbers"),
    "complex": (lambda h: h.create_dataset("x", data=np.ones((2, 2), complex)), "expected numbers"),
    "compound": (
        lambda h: h.create_dataset("x", data=np.zeros((2, 2), [("a", "f4"), ("b", "i4")])),
        "expected numbers",
    ),
    "vlen": (lambda h: h.create_dataset("x", (2, 2), h5py.vlen_dtype("f4")), "expected numbers"),
    "references": (lambda h: h.create_dataset("x", (2, 2), h5py.ref_dtype), "expected numbers"),
    "external link": (lambda h: h.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/x")), "link"),
    "soft link": (lambda h: h.__setitem__("x", h5py.SoftLink("/y")), "link"),
    "virtual": (_virtual, "values in other files"),
    "external storage": (_external_storage, "values in other files"),
    "huge, contiguous": (lambda h: h.create_dataset("x", (10**9, 1700), "f4"), "the file stores 0"),
    "huge, chunked": (lambda h: h.create_dataset("x", (10**9, 1700), "f4", chunks=(8, 8)), "the file stores 0"),
    "huge, packed": (lambda h: h.create_dataset("x", (10**9, 9), "f4", chunks=(8, 9), compression="gzip"), "stores 0"),
    "bomb": (
        lambda h: h.create_dataset("x", data=np.zeros((20000, 1700), "f4"), compression="gzip"),
        "the file stores",
    ),
    "partly stored": (lambda h: h.create_dataset("x", (99, 9), "f4", chunks=(9, 9)).__setitem__(slice(9), 1), "stores"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_cause_and_remedy(case: str, tmp_path: pathlib.Path) -> None:
    make, message = REFUSED[case]
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as handle:
        make(handle)
    with hdf5.open_file(path) as handle, pytest.raises(FeatureError, match=message) as refusal:
        hdf5.dataset(handle, "x", kinds="fiu", ndim=2)
    assert "f.h5" in str(refusal.value.where)
    assert refusal.value.remedy


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", b"\x89HDF\r\n\x1a\n" + b"\0" * 200])
def test_no_hdf5(content: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.h5"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match="not a whole HDF5 file"), hdf5.open_file(path, error=AnnotationError):
        pass


def test_missing_and_folder(tmp_path: pathlib.Path) -> None:
    for path, message in ((tmp_path / "none.h5", "no such file"), (tmp_path, "not a file")):
        with pytest.raises(DataError, match=message), hdf5.open_file(path):
            pass


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_or_overwritten_anywhere(packed: bool, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.h5"
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as handle:
        settings = {"compression": "gzip", "chunks": (16, 8)} if packed else {}
        handle.create_dataset("x", data=generator.random((64, 8)), **settings)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        _read_or_refuse(path, whole[:length])
    for start in range(0, len(whole) - 8, 31):
        _read_or_refuse(path, whole[:start] + b"\xff" * 8 + whole[start + 8 :])


def _read_or_refuse(path: pathlib.Path, content: bytes) -> None:
    """Whatever the bytes are: values, or a FeatureError; never another exception."""
    path.write_bytes(content)
    try:
        with hdf5.open_file(path) as handle:
            values = hdf5.read_array(hdf5.dataset(handle, "x", kinds="fiu", ndim=2))
        assert values.nbytes <= 2**26
    except FeatureError:
        pass


def test_text_comes_back_whatever_its_storage(tmp_path: pathlib.Path) -> None:
    texts = ["a", "h\u00e9llo", "\u72ac"]
    with h5py.File(tmp_path / "f.h5", "w") as handle:
        handle["fixed"] = hdf5.text_array(texts)
        handle["free"] = texts
        handle["none"] = hdf5.text_array([])
        handle["latin"] = np.array([b"\xe9"])
        handle["long"] = ["x" * 5000]
    with hdf5.open_file(tmp_path / "f.h5") as handle:
        assert handle["fixed"].asstr()[:].tolist() == texts  # plain h5py reads it too
        assert [hdf5.read_strings(hdf5.dataset(handle, name)) for name in ("fixed", "free", "none")] == [
            texts,
            texts,
            [],
        ]
        for name, message in (("latin", "not utf-8"), ("long", "more than 4096 bytes")):
            with pytest.raises(FeatureError, match=message):
                hdf5.read_strings(hdf5.dataset(handle, name))


def test_a_heap_on_which_the_library_never_returns_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as handle:
        handle["x"] = ["some", "variable", "text"]
        handle.attrs["a"] = "more of it"
    assert sound_heaps(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    size = int.from_bytes(content[heap + 8 : heap + 16], "little")
    place, free = heap + 16, 0
    while not free:  # to the object with index 0, the free rest
        length = int.from_bytes(content[place + 8 : place + 16], "little")
        index = int.from_bytes(content[place : place + 2], "little")
        free, place = (place, place) if index == 0 else (0, place + 16 + (length + 7) // 8 * 8)
        assert place < heap + size
    content[free + 8 : free + 16] = bytes(8)
    path.write_bytes(content)
    assert not sound_heaps(path)
    with hdf5.open_file(path) as handle:
        for read in (lambda: hdf5.read_strings(hdf5.dataset(handle, "x")), lambda: hdf5.attributes(handle)):
            with pytest.raises(FeatureError, match="variable-length text is damaged"):
                read()


def test_attributes_are_scalars_only(tmp_path: pathlib.Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as handle:
        handle.attrs.update({"a": "x", "b": 3, "c": 0.5, "d": [1, 2], "e": np.bytes_(b"y"), "f": True})
        assert hdf5.attributes(handle) == {"a": "x", "b": 3, "c": 0.5, "e": "y", "f": True}


def test_a_new_file_is_whole_or_absent(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError), hdf5.new_file(tmp_path / "f.h5") as handle:
        handle["x"] = 1
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with hdf5.new_file(tmp_path / "f.h5") as handle:
        handle["x"] = 1
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5"]
