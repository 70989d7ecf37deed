"""Honest foreign pickles and torch files come back as they are."""

from __future__ import annotations

import argparse
import collections
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from glrg_tf.errors import CheckpointError, DataError
from glrg_tf.io.foreign import ForeignDict, read_pickle
from glrg_tf.io.foreign_torch import read_torch
from tests.io.torch_files import Bytes2, Namespace, Raw, Writer, write_legacy, write_zip

PROTOCOLS = range(6)


def _same(ours: object, theirs: object) -> bool:
    if isinstance(theirs, np.ndarray):
        same_type = ours.dtype.newbyteorder("=") == theirs.dtype.newbyteorder("=")
        return same_type and ours.shape == theirs.shape and bool(np.array_equal(ours, theirs))
    return type(ours) is type(theirs) and ours == theirs


def _round(tmp_path, value, protocol=2):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return read_pickle(path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -5,
        255,
        70_000,
        2**70,
        -(2**70),
        1.5,
        float("inf"),
        "",
        "caf\u00e9 \u732b \U0001f431 line\nbreak \\ slash",
        "long " * 100,
        b"",
        b"\x00\xff",
        (),
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 3, 4),
        [],
        [1] * 2500,
        {},
        {i: str(i) for i in range(2500)},
        {("1", "2"): 3.0, (): 1.0},
        {1, 2},
        frozenset({"a"}),
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.zeros((0, 4), np.float16),
        np.array(5, np.uint8),
        np.arange(3, dtype=">i4"),
        np.array([True, False]),
        np.array([b"ab", b"c"]),
        np.array(["ab", "\u732b"]),
        np.float64(0.25),
        np.float32(0.25),
        np.int64(7),
        np.bool_(True),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_values(tmp_path, value, protocol):
    assert _same(_round(tmp_path, value, protocol), value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_classes_become_dictionaries(tmp_path, protocol):
    counts = collections.defaultdict(float, {("1", "2"): 3.0})
    found = _round(
        tmp_path,
        {"o": collections.OrderedDict(a=1, b=2), "d": counts, "n": argparse.Namespace(x=1, v={0: "<end>"})},
        protocol,
    )
    assert {name: (value.kind, dict(value)) for name, value in found.items()} == {
        "o": ("OrderedDict", {"a": 1, "b": 2}),
        "d": ("defaultdict", {("1", "2"): 3.0}),
        "n": ("Namespace", {"x": 1, "v": {0: "<end>"}}),
    }
    with pytest.raises(KeyError):
        found["d"]["missing"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_strings_of_fixed_length_become_text(tmp_path, protocol):
    """The original `opt.vocab` may hold NumPy strings."""
    assert _round(tmp_path, {0: np.bytes_(b"<end>"), 1: np.str_("caf\u00e9")}, protocol) == {0: "<end>", 1: "caf\u00e9"}


def test_shared_parts_stay_shared(tmp_path):
    part = np.arange(3.0)
    found = _round(tmp_path, [part, part, ["x"]])
    assert found[0] is found[1]


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"word", "word"), ("caf\u00e9".encode(), "caf\u00e9"), (b"caf\xe9", "caf\u00e9")],
)
def test_python_two_strings(tmp_path, raw, text):
    path = tmp_path / "file.pkl"
    path.write_bytes(Writer().pickle({"w": Bytes2(raw)}))
    assert read_pickle(path) == {"w": text}
    escaped = repr(raw)[1:].encode("ascii")
    path.write_bytes(b"S" + escaped + b"\n.")
    assert read_pickle(path) == text


def test_python_two_arrays(tmp_path):
    """Python 2 writes array data as a string: bytes above 127 must survive, valid utf-8 or not."""
    for raw in (np.array([0.1, -2.5]).tobytes(), "\u00e9\u00e9\u00e9\u00e9".encode()):
        blank = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        state = b"(K\x01K" + bytes([len(raw)]) + b"\x85" + kind + b"\x89" + Writer().part(Bytes2(raw)) + b"tb"
        (tmp_path / "file.pkl").write_bytes(b"\x80\x02" + blank + state + b".")
        assert read_pickle(tmp_path / "file.pkl").tobytes() == raw


def test_python_two_ordered_dict(tmp_path):
    """Python 2 passes the items as a list of lists."""
    items = Writer().part([["a", 1], ["b", 2]])
    (tmp_path / "file.pkl").write_bytes(b"\x80\x02ccollections\nOrderedDict\n" + items + b"\x85R.")
    assert read_pickle(tmp_path / "file.pkl") == {"a": 1, "b": 2}


def test_refusals_are_of_the_kind_asked_for(tmp_path):
    (tmp_path / "bad.pkl").write_bytes(b"cos\nsystem\n.")
    for kind, error in ((DataError, {}), (CheckpointError, {"error": CheckpointError})):
        with pytest.raises(kind, match="os.system") as caught:
            read_pickle(tmp_path / "bad.pkl", **error)
        assert str(tmp_path / "bad.pkl") in str(caught.value)


@pytest.mark.parametrize("name", ["missing.pkl", ".", "nul\0byte"])
def test_what_is_no_file(tmp_path, name):
    with pytest.raises(DataError):
        read_pickle(f"{tmp_path}/{name}")
    with pytest.raises(CheckpointError):
        read_torch(f"{tmp_path}/{name}")


# === Torch files ===


def _content() -> dict:
    rng = np.random.default_rng(0)
    return {
        "model": {"w": rng.normal(size=(3, 4)).astype(np.float32), "b": np.arange(3.0), "n": np.arange(2)},
        "half": np.array([1.5], np.float16),
        "none": np.zeros((0, 3), np.float32),
        "opt": Namespace(name=Bytes2(b"concat"), vocab={0: "<end>"}, dims=[1700]),
        "big": 2**40,
    }


@pytest.mark.parametrize("write", [write_legacy, write_zip])
def test_torch_files(tmp_path, write):
    write(tmp_path / "m.pth", _content())
    found, want = read_torch(tmp_path / "m.pth"), _content()
    assert list(found) == list(want)
    for name, value in want["model"].items():
        assert _same(found["model"][name], value)
    assert _same(found["half"], want["half"]) and found["none"].shape == (0, 3)
    assert isinstance(found["opt"], ForeignDict) and dict(found["opt"]) == {**want["opt"], "name": "concat"}


def test_tensors_share_their_storage_and_have_strides(tmp_path):
    writer = Writer()
    storage = Raw(writer.part(("storage", Raw(b"ctorch.cuda\nFloatStorage\n"), "7", "cuda:1", 6, None)) + b"Q")

    def tensor(offset, size, stride):
        arguments = (storage, offset, size, stride, False, Raw(b"ccollections\nOrderedDict\n)R"))
        return Raw(b"ctorch._utils\n_rebuild_tensor_v2\n" + writer.part(arguments) + b"R")

    value = {"all": tensor(0, (2, 3), (3, 1)), "turned": tensor(0, (3, 2), (1, 3)), "end": tensor(4, (2,), (1,))}
    heads = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, value, ["7"])
    data = np.arange(6, dtype=np.float32)
    (tmp_path / "m.pth").write_bytes(b"".join(map(writer.pickle, heads)) + b"\x06" + b"\x00" * 7 + data.tobytes())
    found = read_torch(tmp_path / "m.pth")
    assert _same(found["all"], data.reshape(2, 3))
    assert _same(found["turned"], data.reshape(2, 3).T)
    assert _same(found["end"], data[4:])


def test_views_of_storages(tmp_path):
    """Legacy files may give a tensor a window of another storage."""
    writer = Writer()
    identity = ("storage", Raw(b"ctorch\nDoubleStorage\n"), "7", "cpu", 5, ("8", 1, 3))
    storage = Raw(writer.part(identity) + b"Q")
    value = Raw(b"ctorch._utils\n_rebuild_tensor\n" + writer.part((storage, 1, (2,), (1,))) + b"R")
    heads = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, value, ["7"])
    data = b"\x05" + b"\x00" * 7 + np.arange(5.0).tobytes()
    (tmp_path / "m.pth").write_bytes(b"".join(map(writer.pickle, heads)) + data)
    assert read_torch(tmp_path / "m.pth").tolist() == [2.0, 3.0]


def test_compressed_torch_files_are_refused(tmp_path):
    write_zip(tmp_path / "m.pth", _content(), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        read_torch(tmp_path / "m.pth")


def test_zip_files_as_torch_writes_them(tmp_path):
    """With the 64-bit end record that PyTorch always adds, and members whose sizes follow them."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError

    writer, target = Writer(), Pipe()
    content = writer.pickle({"w": np.arange(4.0)})
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in {
            "m/data.pkl": content,
            "m/byteorder": b"little",
            "m/.format_version": b"1",
            **{f"m/data/{key}": array.tobytes() for key, array in writer.storages.items()},
            "m/.data/serialization_id": b"123",
        }.items():
            archive.writestr(name, data)
    plain = target.getvalue()
    end = plain.rfind(b"PK\x05\x06")
    count, size, start = struct.unpack("<HII", plain[end + 10 : end + 20])
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, start)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    (tmp_path / "m.pth").write_bytes(plain[:end] + record + locator + plain[end:])
    assert read_torch(tmp_path / "m.pth")["w"].tolist() == [0.0, 1.0, 2.0, 3.0]
    wrong = locator.replace(struct.pack("<Q", end), b"\xff" * 8)
    (tmp_path / "m.pth").write_bytes(plain[:end] + record + wrong + plain[end:])
    with pytest.raises(CheckpointError):
        read_torch(tmp_path / "m.pth")


def test_size_limit(tmp_path):
    write_zip(tmp_path / "m.pth", _content())
    with pytest.raises(CheckpointError, match="too large"):
        read_torch(tmp_path / "m.pth", max_bytes=100)


# === Real files ===


def test_release_pickles(shared):
    """The sample's score and n-gram files, as the standard library reads them (they are our own)."""
    for path in sorted((shared / "data/glrg_release_sample/data/metadata").glob("*.pkl")):
        want, found = pickle.loads(path.read_bytes()), read_pickle(path)
        assert list(found) == list(want)
        assert all(_same(found[key], want[key]) or found[key] == want[key] for key in want)


def test_release_checkpoint(shared):
    found = read_torch(shared / "data/glrg_release_sample/model/GL-RG_XE_msrvtt/model.pth")
    assert [value.shape for value in found["model"].values()] == [
        (1944, 512),
        (1944, 512),
        (1944,),
        (512, 1700),
        (512,),
        (2048, 1024),
        (2048, 512),
    ]
    assert found["opt"]["vocab"][3] == "a"
