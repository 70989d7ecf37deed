"""features.h5: what is written is read, pooled and per position, and what is wrong is refused first."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from glrg_tf.data.feature_layout import read_release_features, split_release
from glrg_tf.data.feature_store import STREAMS_RELEASE, FeatureStore, read_feature_file, write_features
from glrg_tf.errors import FeatureError
from tests.data import made

IDS = ["a", "h\u00e9", "c"]


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "features.h5"


def test_pooled_streams_come_back_side_by_side_in_the_order_asked(path: pathlib.Path) -> None:
    streams = {"semantic": values(3, 2), "keyframe": values(3, 4), "long_range": values(3, 5)}
    write_features(path, IDS, streams, {"producer": "test"}, {"keyframe": {"backbone": "resnext"}})
    store = FeatureStore(path)
    assert store.ids == tuple(IDS)
    assert list(store.streams.items()) == [("long_range", 5), ("keyframe", 4), ("semantic", 2)]
    assert store.attributes["producer"] == "test"
    assert store.stream_attributes["keyframe"] == {"backbone": "resnext"}
    assert len(store) == 3
    assert "c" in store
    assert "d" not in store
    read = store.read(["c", "a", "c"], ["semantic", "long_range"])
    assert read.dtype == np.float32
    wanted = np.hstack([streams["semantic"], streams["long_range"]])[[2, 0, 2]].astype(np.float32)
    np.testing.assert_array_equal(read, wanted)
    assert store.read(IDS).shape == (3, 11)
    assert store.read([]).shape == (0, 11)
    np.testing.assert_array_equal(store.positions("c", "semantic"), streams["semantic"][2:].astype(np.float32))


def test_positions_are_kept_and_pooled_by_their_mean(path: pathlib.Path) -> None:
    pieces = [values(4, 3), values(1, 3), values(7, 3)]
    write_features(path, IDS, {"keyframe": pieces, "x": values(3, 2)})
    store = FeatureStore(path)
    assert store.has_positions("keyframe")
    assert not store.has_positions("x")
    for video_id, piece in zip(IDS, pieces, strict=True):
        np.testing.assert_array_equal(store.positions(video_id, "keyframe"), piece.astype(np.float32))
    means = np.array([piece.mean(axis=0) for piece in pieces])
    np.testing.assert_allclose(store.read(IDS, ["keyframe"]), means, rtol=1e-6)
    with h5py.File(path) as handle:  # plain h5py reads the contract's names
        assert handle["streams/keyframe/offsets"][:].tolist() == [0, 4, 5, 12]
        assert handle["streams/keyframe/values"].shape == (12, 3)
        assert [name.decode() for name in handle["ids"][:]] == IDS


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"chunks": (2, 2)},
        {"chunks": (2, 2), "compression": "gzip"},
        {"dtype": "f2"},
        {"dtype": ">f8"},
        {"dtype": "u1"},
    ],
    ids=str,
)
def test_any_storage_of_numbers_reads_the_same(path: pathlib.Path, settings: dict) -> None:
    data = np.arange(6).reshape(3, 2)
    with h5py.File(path, "w", userblock_size=512) as handle:
        handle["ids"] = IDS
        handle.create_dataset("streams/x/values", data=data, **{"dtype": "f4", **settings})
    with FeatureStore(path) as store:
        np.testing.assert_array_equal(store.read(["c", "a"]), data[[2, 0]])
        np.testing.assert_array_equal(store.positions("c", "x"), data[2:])
        np.testing.assert_array_equal(store.positions("a", "x"), data[:1])


def test_a_compact_data_set_is_not_mapped_from_a_wrong_place(path: pathlib.Path) -> None:
    with h5py.File(path, "w") as handle:
        handle["ids"] = IDS
        group = handle.create_group("streams/x")
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3, 2))
        identifier = h5py.h5d.create(group.id, b"values", h5py.h5t.IEEE_F32LE, space, plist)
        h5py.Dataset(identifier)[...] = 5
    np.testing.assert_array_equal(FeatureStore(path).read(IDS), np.full((3, 2), 5))


def test_closed_store_and_unknown_names(path: pathlib.Path) -> None:
    write_features(path, IDS, {"x": values(3, 2)})
    store = FeatureStore(path)
    with pytest.raises(FeatureError, match="no features for video 'z'"):
        store.read(["z"])
    with pytest.raises(FeatureError, match="no stream 'y'"):
        store.read(IDS, ["y"])
    store.close()
    with pytest.raises(FeatureError, match="no stream"):
        store.read(IDS, ["x"])


@pytest.mark.parametrize(
    ("ids", "streams", "message"),
    [
        (["a", "a"], {"x": values(2, 2)}, "'a' occurs twice"),
        (["a", " "], {"x": values(2, 2)}, "row 1 is blank"),
        (["a"], {"x": values(2, 2)}, "2 rows of features for 1 ids"),
        (["a", "b"], {"x": [values(2, 2)]}, "1 rows of features for 2 ids"),
        (["a"], {"x": values(1)}, "do not fit"),
        (["a"], {"x": values(1, 0)}, "do not fit"),
        (["a", "b"], {"x": [values(2, 2), values(2, 3)]}, "do not fit"),
        (["a", "b"], {"x": [values(2, 2), values(0, 2)]}, "do not fit"),
        (["a"], {"x": np.array([["t"]])}, "do not fit"),
        (["a"], {"x": np.array([[np.nan]])}, "not finite"),
        (["a"], {"x": np.array([[1e300]])}, "not finite"),
        (["a"], {"x/../y": values(1, 1)}, "no stream name"),
    ],
)
def test_nothing_wrong_is_written(ids: list[str], streams: dict, message: str, path: pathlib.Path) -> None:
    with pytest.raises(FeatureError, match=message):
        write_features(path, ids, streams)
    assert list(path.parent.iterdir()) == []


def _set(name: str, data: object) -> Callable[[h5py.File], None]:
    def change(handle: h5py.File) -> None:
        if name in handle:
            del handle[name]
        if data is not None:
            handle[name] = data

    return change


WRONG: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "no ids": (_set("ids", None), "'ids' is missing"),
    "numbers as ids in two axes": (_set("ids", np.ones((3, 1), int)), "expected 1 axes"),
    "duplicate id": (_set("ids", ["a", "b", "a"]), "'a' occurs twice"),
    "blank id": (_set("ids", ["a", "", "c"]), "blank"),
    "ids too few": (_set("ids", ["a", "b"]), "3 rows for 2 ids"),
    "no streams": (_set("streams", None), "'streams' is missing"),
    "streams is no group": (_set("streams", [1]), "no streams"),
    "stream without values": (_set("streams/x/values", None), "'streams/x/values' is missing"),
    "stream is no group": (_set("streams/y", [1.0]), "'streams/y/values' is missing"),
    "width 0": (_set("streams/x/values", np.ones((3, 0))), "width 0"),
    "too few rows": (_set("streams/x/values", np.ones((2, 2))), "2 rows for 3 ids"),
    "text": (_set("streams/x/values", np.array([["a"]] * 3, "S")), "expected numbers"),
    "foreign link": (_set("streams/x/values", h5py.ExternalLink("other.h5", "/x")), "link"),
    "stream linked": (_set("streams/y", h5py.ExternalLink("other.h5", "/x")), "link"),
    "offsets too few": (_set("streams/x/offsets", [0, 3]), "2 offsets for 3 ids"),
    "offsets fall": (_set("streams/x/offsets", [0, 2, 1, 3]), "do not rise"),
    "offsets stand": (_set("streams/x/offsets", [0, 1, 1, 3]), "do not rise"),
    "offsets too far": (_set("streams/x/offsets", [0, 1, 2, 9]), "do not rise"),
    "offsets begin late": (_set("streams/x/offsets", [1, 2, 3, 3]), "do not rise"),
    "offsets no integers": (_set("streams/x/offsets", [0.0, 1.0, 2.0, 3.0]), "expected numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_inconsistent_files_are_refused_when_opened(case: str, path: pathlib.Path) -> None:
    change, message = WRONG[case]
    write_features(path, IDS, {"x": values(3, 2)})
    with h5py.File(path, "a") as handle:
        change(handle)
    with pytest.raises(FeatureError, match=message) as refusal:
        FeatureStore(path)
    assert str(path) in str(refusal.value)


def test_values_that_are_not_finite_are_found_on_reading(path: pathlib.Path) -> None:
    write_features(path, IDS, {"x": values(3, 2), "y": [values(2, 2)] * 3})
    with h5py.File(path, "a") as handle:
        handle["streams/x/values"][1, 0] = np.nan
        handle["streams/y/values"][5] = np.inf
        del handle.attrs["content_sha256"]  # as a file of others, without checksums
    store = FeatureStore(path)
    assert store.read(["a", "c"], ["x"]).shape == (2, 2)
    with pytest.raises(FeatureError, match="features of video 'h\u00e9' are not finite"):
        store.read(IDS, ["x"])
    with pytest.raises(FeatureError, match="features of video 'c'"):
        store.positions("c", "y")
    assert len(store.check_values()) == 2


# === The release's own file ===
def test_release_file_with_and_without_ids(path: pathlib.Path) -> None:
    feats = made.release_features(path, IDS)
    ids, features, streams = read_feature_file(path)
    assert (ids, streams) == (tuple(IDS), dict(STREAMS_RELEASE))
    np.testing.assert_array_equal(features, feats)
    np.testing.assert_array_equal(np.hstack(list(split_release(features).values())), feats)
    made.release_features(path, None, rows=2)
    assert read_feature_file(path)[0] == ("0", "1")
    write_features(path, IDS, {"keyframe": values(3, 4), "long_range": values(3, 5)})
    ids, features, streams = read_feature_file(path)
    assert (ids, features.shape, list(streams)) == (tuple(IDS), (3, 9), ["long_range", "keyframe"])


def test_whole_numbers_serve_as_ids(path: pathlib.Path) -> None:
    made.release_features(path, None, rows=2)
    with h5py.File(path, "a") as handle:
        handle["video_ids"] = [6513, 6514]
    assert read_feature_file(path)[0] == ("6513", "6514")


@pytest.mark.parametrize(
    ("ids", "feats", "message"),
    [
        (["a"], np.ones((1, 1300), "f4"), "1300 wide, a GL-RG release file is 1700 wide"),
        (["a", "b"], np.ones((1, 1700), "f4"), "2 video_ids for 1 rows"),
        (["a"], np.full((1, 1700), np.nan), "features of video 'a' are not finite"),
        (None, np.full((1, 1700), 1e39), "features of row 0 are not finite"),
        (["a"], np.ones(1700), "expected 2 axes"),
        (["a"], np.array([["x"] * 3], "S"), "expected numbers"),
    ],
)
def test_wrong_release_files_are_refused(
    ids: list[str] | None, feats: np.ndarray, message: str, path: pathlib.Path
) -> None:
    made.release_features(path, ids, rows=1, feats=feats)
    with pytest.raises(FeatureError, match=message):
        read_release_features(path)


def test_a_file_of_neither_layout_says_what_it_holds(path: pathlib.Path) -> None:
    with h5py.File(path, "w") as handle:
        handle["features"] = np.ones((2, 2))
    with pytest.raises(FeatureError, match="'ids' is missing") as refusal:
        read_feature_file(path)
    assert "features" in str(refusal.value.remedy)


def test_truncated_file(path: pathlib.Path) -> None:
    made.release_features(path, IDS)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FeatureError, match="not a whole HDF5 file"):
        read_feature_file(path)


def test_flipped_values_are_noticed_when_their_block_is_read(path: pathlib.Path) -> None:
    write_features(path, [f"v{n}" for n in range(200)], {"x": values(200, 3)})
    with h5py.File(path) as handle:
        offset = handle["streams/x/values"].id.get_offset()
    data = bytearray(path.read_bytes())
    data[offset + 4 * 3 * 150] ^= 1  # the last bit of a mantissa: no other check would see it
    path.write_bytes(data)
    with FeatureStore(path) as store:
        assert store.read(["v0", "v127"]).shape == (2, 3)  # other blocks
        with pytest.raises(FeatureError, match="rows 128 to 191 differ from their checksum"):
            store.read(["v130"])


def test_changed_attributes_and_ids_are_noticed_at_once(path: pathlib.Path) -> None:
    for change in (lambda f: f.attrs.update(producer="b"), lambda f: f["ids"].__setitem__(0, b"z")):
        write_features(path, IDS, {"x": values(3, 2)}, {"producer": "a"})
        with h5py.File(path, "a") as handle:
            change(handle)
        with pytest.raises(FeatureError, match="differ from the checksum"):
            FeatureStore(path)
