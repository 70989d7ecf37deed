"""The bundle: encoding, one graph for export, folders that are whole or refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.encoders import positions, presets
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.presets import EncoderConfig, StreamSpec
from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.io import atomic
from glrg_tf.video.sampling import FramePlan

PLAN = FramePlan(positions=3, short_frames=4)


@pytest.fixture(scope="module")
def bundle() -> EncoderBundle:
    """Three small streams: of the nano networks, on small frames."""
    streams = []
    for kind, frames in (("long_range", 3), ("short_range", 4), ("keyframe", 1)):
        streams.append(StreamSpec(kind, kind, kind, frames, (32, 32), 5))
    return EncoderBundle.from_config(EncoderConfig(PLAN, tuple(streams)), seed=3)


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "encoder"
    bundle.save(path)
    return path


def video(frames: int = 60, height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3)).astype(np.uint8)


def clips_of(frames: np.ndarray, plan: FramePlan = PLAN) -> dict[str, np.ndarray]:
    return {name: frames[plan.frames_of(name, len(frames))] for name in ("long_range", "short_range", "keyframe")}


def pooled(streams: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([values.mean(axis=0) for values in streams.values()])


def test_encode_gives_probabilities_per_position(bundle):
    streams = bundle.encode(clips_of(video()))
    assert list(streams) == ["long_range", "short_range", "keyframe"]
    for values in streams.values():
        assert values.shape == (3, 5) and values.dtype == np.float32
        assert ((values > 0) & (values < 1)).all()


def test_a_batch_equals_one_by_one_whatever_the_sizes(bundle):
    videos = [clips_of(video(60)), clips_of(video(9, 33, 80, 1)), clips_of(video(60, seed=2))]
    for together, alone in zip(bundle.encode_batch(videos), (bundle.encode(clips) for clips in videos), strict=True):
        for name in together:
            np.testing.assert_allclose(together[name], alone[name], atol=1e-6)


def test_resized_floats_are_taken_as_they_are(bundle):
    clips = clips_of(video(60, 32, 32))
    ready = {name: values.astype(np.float32) for name, values in clips.items()}
    for name, values in bundle.encode(ready).items():
        np.testing.assert_allclose(values, bundle.encode(clips)[name], atol=1e-6)


def test_missing_clips_and_wrong_shapes_are_refused(bundle):
    with pytest.raises(ConfigError, match="no clips of plan 'keyframe'"):
        bundle.encode({name: values for name, values in clips_of(video()).items() if name != "keyframe"})
    with pytest.raises(ConfigError, match="reads"):
        bundle.encode({**clips_of(video()), "keyframe": np.zeros((3, 2, 8, 8, 3), np.uint8)})
    with pytest.raises(ConfigError, match="resized"):
        bundle.encode({**clips_of(video()), "keyframe": np.zeros((3, 1, 8, 8, 3), np.float32)})


@pytest.mark.parametrize("frame_count", [1, 2, 15, 61, 7203, 2_000_000])
def test_positions_in_the_graph_are_the_plans(frame_count):
    for plan in (PLAN, FramePlan()):
        for which in ("long_range", "short_range", "keyframe"):
            found = positions.frame_indices(plan, which, tf.constant(frame_count)).numpy()
            np.testing.assert_array_equal(found, plan.frames_of(which, frame_count))


def test_frames_model_and_its_onnx_equal_encode(bundle):
    import onnxruntime
    import tf2onnx

    model = bundle.frames_model()
    signature = [tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")]
    function = tf.function(model, input_signature=signature)
    batch = np.stack([video(60), video(60, seed=1)])
    wanted = np.stack([pooled(bundle.encode(clips_of(frames))) for frames in batch])
    np.testing.assert_allclose(function(batch).numpy(), wanted, atol=1e-5)

    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=18)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for frames in (batch, video(7, 30, 25)[None]):  # other counts and sizes without converting again
        found = session.run(None, {session.get_inputs()[0].name: frames})[0]
        np.testing.assert_allclose(found, function(frames).numpy(), atol=1e-4)


def test_folder_round_trip(bundle, folder):
    loaded = EncoderBundle.load(folder)
    assert loaded.config == bundle.config and loaded.fingerprint == bundle.fingerprint
    clips = clips_of(video())
    for name, values in loaded.encode(clips).items():
        np.testing.assert_array_equal(values, bundle.encode(clips)[name])


def test_a_folder_around_an_encoder_loads_too(bundle, folder):
    assert EncoderBundle.load(folder.parent).fingerprint == bundle.fingerprint


def test_weights_depend_on_the_seed_alone(bundle):
    again = EncoderBundle.from_config(bundle.config, seed=3)
    assert again.fingerprint == bundle.fingerprint
    assert EncoderBundle.from_config(bundle.config, seed=4).fingerprint != bundle.fingerprint


def damaged(folder, tmp_path, change):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    change(copy)
    return copy


def rewrite(copy, **entries):
    values = json.loads((copy / "encoder.json").read_text())
    (copy / "encoder.json").write_text(json.dumps({**values, **entries}))
    (copy / "manifest.json").unlink()
    atomic.write_manifest(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda copy: (copy / "keyframe.weights.h5").unlink(), "missing"),
        (lambda copy: (copy / "keyframe.weights.h5").write_bytes(b"no"), "differs"),
        (lambda copy: (copy / "encoder.json").write_text("{"), "differs"),
        (lambda copy: rewrite(copy, version=99), "format 99"),
        (lambda copy: rewrite(copy, format="other"), "not an encoder"),
        (lambda copy: rewrite(copy, streams=[{"nam": "x"}]), "unknown setting"),
        (lambda copy: rewrite(copy, plan={"positions": 0}), "positions"),
    ],
)
def test_damaged_folders_are_refused(folder, tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        EncoderBundle.load(damaged(folder, tmp_path, change))


def test_weights_of_another_size_are_refused(folder, tmp_path):
    def widen(copy):
        streams = json.loads((copy / "encoder.json").read_text())["streams"]
        streams[2]["width"] = 6
        rewrite(copy, streams=streams)

    with pytest.raises(CheckpointError, match="shape"):
        EncoderBundle.load(damaged(folder, tmp_path, widen))


def test_unknown_names_and_foreign_folders(tmp_path):
    with pytest.raises(CheckpointError, match="no such encoder"):
        EncoderBundle.load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="not an encoder folder"):
        EncoderBundle.load(tmp_path)


def test_save_refuses_a_folder_of_something_else(bundle, tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(ConfigError, match="no encoder"):
        bundle.save(tmp_path)
    assert (tmp_path / "precious.txt").is_file()


def test_presets_have_the_papers_widths():
    nano, paper = presets.preset("nano"), presets.preset("paper")
    assert [spec.width for spec in paper.streams] == [300, 400, 1000]
    assert [spec.activation for spec in paper.streams] == ["sigmoid", "softmax", "softmax"]
    assert [spec.name for spec in nano.streams] == [spec.name for spec in paper.streams]
    with pytest.raises(ConfigError, match="no encoder preset"):
        presets.preset("huge")


def test_streams_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="frames a position"):
        StreamSpec("a", "long_range", "long_range", 4)
    with pytest.raises(ConfigError, match="labels"):
        StreamSpec("a", width=3, labels=("x",))
    with pytest.raises(ConfigError, match="stream name"):
        StreamSpec("../a")
    with pytest.raises(ConfigError, match="reads 8 frames"):
        EncoderConfig(PLAN, (StreamSpec("a", "short_range", "short_range", 8),))
