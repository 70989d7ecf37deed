"""The reader on videos made here: counts, orientation, timestamps, streams, limits, cut and damaged files."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from glrg_tf.errors import ConfigError, VideoError
from glrg_tf.video import passes
from glrg_tf.video.reader import Limits, iter_frames, probe, read_frames
from glrg_tf.video.sampling import FramePlan
from glrg_tf.video.source import open_source
from tests.video.made import make_sound, make_two_streams, make_video, number_of, numbered_frame, numbered_frames

COUNT = 40
# name -> (container, codec, pixel format, options of the encoder, options of the container)
KINDS = {
    "h264.mp4": ("mp4", "libx264", "yuv420p", {"bf": "2", "g": "12"}, {}),
    "opengop.mp4": ("mp4", "libx264", "yuv420p", {"bf": "3", "g": "10", "x264-params": "open-gop=1"}, {}),
    "fragmented.mp4": ("mp4", "libx264", "yuv420p", {"g": "10"}, {"movflags": "frag_keyframe+empty_moov"}),
    "hevc10.mp4": ("mp4", "libx265", "yuv420p10le", {"x265-params": "log-level=none"}, {}),
    "mpeg4.avi": ("avi", "mpeg4", "yuv420p", {"bf": "2"}, {}),
    "h264.mkv": ("matroska", "libx264", "yuv420p", {"bf": "2"}, {}),
    "vp8.webm": ("webm", "libvpx", "yuv420p", {"deadline": "realtime", "lag-in-frames": "8", "auto-alt-ref": "1"}, {}),
    "vp9.webm": ("webm", "libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}, {}),
    "mpeg2.ts": ("mpegts", "mpeg2video", "yuv420p", {}, {}),
    "h264.ts": ("mpegts", "libx264", "yuv420p", {"bf": "2"}, {}),
    "mpeg1.mpg": ("mpeg", "mpeg1video", "yuv420p", {}, {}),
    "sorenson.flv": ("flv", "flv", "yuv420p", {}, {}),
    "wmv2.wmv": ("asf", "wmv2", "yuv420p", {}, {}),
    "mjpeg.avi": ("avi", "mjpeg", "yuvj420p", {}, {}),
    "prores.mov": ("mov", "prores_ks", "yuv422p10le", {}, {}),
    "animated.gif": ("gif", "gif", "rgb8", {}, {}),
    "animated.png": ("apng", "apng", "rgb24", {}, {}),
    "raw.h264": ("h264", "libx264", "yuv420p", {}, {}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def clip(folder):
    """A plain H.264 clip of COUNT numbered frames."""
    return make_video(folder / "plain.mp4", numbered_frames(COUNT), options={"g": "10", "bf": "2"})


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_of_every_kind(folder, name):
    container, codec, pixel_format, options, container_options = KINDS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot encode {codec}")
    path = make_video(
        folder / name,
        numbered_frames(COUNT),
        container=container,
        codec=codec,
        pixel_format=pixel_format,
        options=options,
        container_options=container_options,
    )
    read = read_frames(path, np.arange)
    assert (read.expected, read.decoded, read.used) == (COUNT, COUNT, COUNT)
    assert [number_of(image) for image in read.images] == list(range(COUNT))
    assert np.allclose(read.timestamps, np.arange(COUNT) / 25, atol=0.011)
    facts = probe(path)
    assert (facts.frames, facts.width, facts.height) == (COUNT, 96, 64)
    assert facts.frame_rate == pytest.approx(25, rel=0.02)
    assert facts.duration == pytest.approx(COUNT / 25, abs=0.05)
    assert probe(path, exact=True).counted == "decoded"
    assert (facts.frames, facts.rotation, facts.audio) == (read.probe.frames, 0, False)


def test_a_suffix_means_nothing(clip, tmp_path):
    other = tmp_path / "clip.gif"
    other.write_bytes(clip.read_bytes())
    assert read_frames(other, np.arange).probe.codec == "h264"


def test_only_wanted_frames_in_rising_order(clip):
    read = read_frames(clip, np.array([30, 3, 3, 17]))
    assert read.indices.tolist() == [3, 17, 30]
    assert [number_of(image) for image in read.images] == [3, 17, 30]
    assert read.timestamps.tolist() == pytest.approx([3 / 25, 17 / 25, 30 / 25], abs=1e-6)
    assert [number_of(image) for image in read.at(np.array([[30, 3], [3, 17]])).reshape(4, 64, 96, 3)] == [30, 3, 3, 17]
    with pytest.raises(KeyError):
        read.at(np.array([4]))


def test_the_plan_gets_the_number_of_frames(clip):
    plan = FramePlan(positions=4)
    read = read_frames(clip, plan.wanted)
    assert read.indices.tolist() == plan.wanted(COUNT).tolist()
    assert read.at(plan.short_range(COUNT)).shape == (4, 8, 64, 96, 3)


def test_numbers_past_the_end_are_told(clip):
    read = read_frames(clip, np.array([0, 39, 40, 1000]))
    assert read.used == 2 and any("2 of the frames asked for" in warning for warning in read.warnings)
    for impossible in (lambda count: np.array([count]), lambda count: np.array([0.5]), np.array([-1])):
        with pytest.raises(ConfigError, match="whole numbers"):
            read_frames(clip, impossible)


def test_shrinking_keeps_the_shape_and_never_enlarges(clip):
    assert read_frames(clip, np.array([0]), max_side=48).images.shape == (1, 32, 48, 3)
    assert read_frames(clip, np.array([0]), max_side=500).images.shape == (1, 64, 96, 3)
    assert read_frames(clip, np.array([0]), max_side=1).images.shape == (1, 1, 1, 3)
    with pytest.raises(ConfigError):
        read_frames(clip, np.array([0]), max_side=0)


@pytest.mark.parametrize("rotation", [0, 90, -90, 180])
@pytest.mark.parametrize("flip", [False, True])
def test_all_eight_orientations(tmp_path, rotation, flip):
    picture = numbered_frame(0b00100101)
    path = make_video(tmp_path / "turned.mov", [picture] * 3, rotation=rotation, flip=flip)
    read = read_frames(path, np.array([1]))
    upright = np.rot90(picture, rotation // 90)  # counter-clockwise, as the matrix says; mirrored after that
    upright = upright[:, ::-1] if flip else upright
    assert read.images.shape[1:] == upright.shape
    assert np.abs(read.images[0].astype(int) - upright).mean() < 4
    facts = probe(path)
    assert (facts.height, facts.width) == upright.shape[:2]
    assert facts.mirrored == flip
    if not flip:
        assert abs(facts.rotation) == abs(rotation)
    assert next(iter_frames(path))[2].shape == upright.shape


def test_variable_frame_rate_by_timestamps(tmp_path):
    times = [0, 1, 2, 3, 13, 14, 15, 40, 41, 42]
    path = make_video(tmp_path / "uneven.mp4", numbered_frames(10), times=times)
    read = read_frames(path, np.arange)
    assert np.allclose(read.timestamps, np.array(times) / 25, atol=1e-3)
    assert read.probe.variable_frame_rate and probe(path).variable_frame_rate
    assert not read_frames(
        make_video(tmp_path / "even.mkv", numbered_frames(10), rate=30), np.arange
    ).probe.variable_frame_rate


def test_streamed_frames_are_the_same(clip):
    read = read_frames(clip, np.arange)
    streamed = list(iter_frames(clip))
    assert [index for index, _, _ in streamed] == list(range(COUNT))
    assert np.array_equal(np.stack([image for _, _, image in streamed]), read.images)
    assert [seconds for _, seconds, _ in streamed] == pytest.approx(read.timestamps.tolist())


def test_sound_and_pixel_shape_are_noted(tmp_path):
    path = make_video(tmp_path / "sound.mp4", numbered_frames(5), sound=True, aspect=Fraction(4, 3))
    facts = probe(path)
    assert facts.audio and facts.streams == 2
    assert facts.sample_aspect_ratio == pytest.approx(4 / 3)
    assert read_frames(path, np.arange).decoded == 5


def test_of_several_streams_the_first_that_moves(tmp_path):
    large = [numbered_frame(index, 192, 128) for index in range(9)]
    path = make_two_streams(tmp_path / "two.mp4", numbered_frames(5), large)
    assert read_frames(path, np.arange).images.shape == (5, 64, 96, 3)
    still = make_two_streams(tmp_path / "still.mp4", numbered_frames(1), large)
    assert read_frames(still, np.arange).images.shape == (9, 128, 192, 3)


def test_one_frame_is_a_video(tmp_path):
    read = read_frames(make_video(tmp_path / "one.mp4", numbered_frames(1)), FramePlan().wanted)
    assert (read.decoded, read.used) == (1, 1)


class TestCutAndDamaged:
    """Files of which a part can be read."""

    @pytest.fixture(scope="class")
    def front(self, folder):
        """An mp4 with its index in front, so that a cut leaves a beginning that decodes."""
        options = {"movflags": "+faststart"}
        return make_video(folder / "front.mp4", numbered_frames(60), options={"g": "10"}, container_options=options)

    @pytest.mark.parametrize("part", [0.5, 0.9])
    def test_a_cut_mp4_gives_its_beginning(self, front, tmp_path, part):
        data = front.read_bytes()
        media = data.index(b"mdat") + 4
        cut = tmp_path / "cut.mp4"
        cut.write_bytes(data[: media + int((len(data) - media) * part)])
        plan = FramePlan(positions=4)
        read = read_frames(cut, plan.wanted)
        assert read.expected == 60 and 5 < read.decoded < 60
        assert read.indices.tolist() == plan.wanted(read.decoded).tolist()
        assert [number_of(image) for image in read.images[:3]] == read.indices[:3].tolist()
        assert f"only {read.decoded} of 60 frames" in read.warnings[0]

    @pytest.mark.parametrize(("container", "suffix"), [("matroska", "mkv"), ("avi", "avi"), ("mpegts", "ts")])
    @pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
    def test_other_containers_cut(self, tmp_path, container, suffix, part):
        frames = [numbered_frame(index, 256, 192) for index in range(60)]
        grain = np.random.default_rng(0).integers(0, 40, (192, 256, 3), np.uint8)
        frames = [np.where(frame == 110, frame + grain, frame) for frame in frames]  # so that pictures fill the file
        path = make_video(tmp_path / f"whole.{suffix}", frames, container=container, options={"g": "5"})
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * part)])
        read = read_frames(path, np.arange)
        assert 0 < read.decoded < 60
        assert [number_of(image) for image in read.images[:5]] == [0, 1, 2, 3, 4]
        if container != "mpegts":  # a transport stream is made to be cut: nothing says how long it should be
            assert read.expected >= 58 and read.warnings

    def test_damage_inside_is_passed_over(self, front, tmp_path):
        data = bytearray(front.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 200] = bytes(200)
        path = tmp_path / "scratched.mp4"
        path.write_bytes(data)
        read = read_frames(path, FramePlan().wanted)
        assert 30 < read.decoded <= 60 and read.expected == 60

    def test_flipped_bits_never_do_more_than_refuse(self, front, tmp_path):
        whole = front.read_bytes()
        chance = np.random.default_rng(5)
        path = tmp_path / "flipped.mp4"
        outcomes = set()
        for _ in range(60):
            data = bytearray(whole)
            for position in chance.integers(0, len(data), chance.integers(1, 60)):
                data[position] ^= 1 << int(chance.integers(8))
            path.write_bytes(data)
            try:
                read = read_frames(path, FramePlan(positions=2).wanted)
                assert read.used == len(FramePlan(positions=2).wanted(read.decoded))
                outcomes.add("read")
            except VideoError as error:
                assert "\n" not in error.what and error.where
                outcomes.add("refused")
        assert "read" in outcomes


class TestLongVideos:
    """Jumping from key frame to key frame gives the same pictures as reading everything."""

    @pytest.fixture(scope="class", params=["mp4", "mkv"])
    def long(self, request, folder):
        frames = (numbered_frame(index % 256) for index in range(passes.JUMP_FRAMES + 100))
        options = {"g": "40", "bf": "2", "preset": "ultrafast", "x264-params": "open-gop=1"}
        return make_video(folder / f"long.{request.param}", list(frames), options=options)

    def test_same_pictures(self, long, monkeypatch):
        plan = FramePlan(positions=6)
        jumped = read_frames(long, plan.wanted)
        assert jumped.probe.counted == "packets"
        monkeypatch.setattr(passes, "jump_saves", lambda index, wanted: False)
        straight = read_frames(long, plan.wanted)
        assert straight.probe.counted == "decoded"
        assert np.array_equal(jumped.images, straight.images)
        assert np.array_equal(jumped.timestamps, straight.timestamps)
        assert jumped.decoded == straight.decoded == passes.JUMP_FRAMES + 100
        assert [number_of(image) for image in jumped.images] == [int(index) % 256 for index in jumped.indices]

    def test_a_jump_that_goes_wrong_reads_everything(self, long, monkeypatch):
        monkeypatch.setattr(passes, "_read_group", lambda *arguments: False)
        assert read_frames(long, FramePlan(positions=6).wanted).probe.counted == "decoded"


class TestLimits:
    """Each limit refuses with a sentence and a remedy."""

    @pytest.mark.parametrize(
        ("limits", "words"),
        [
            (Limits(max_frames=10), "more than 10 frames"),
            (Limits(max_pixels=1000), "more than 1,000 pixels"),
            (Limits(max_duration=1.0), "lasts 2 s"),
            (Limits(max_seconds=0.0), "takes too long|longer than"),
        ],
    )
    def test_refused(self, clip, limits, words):
        for read in (lambda: read_frames(clip, np.arange, limits=limits), lambda: probe(clip, limits)):
            with pytest.raises(VideoError, match=words) as caught:
                read()
            assert caught.value.remedy and caught.value.where == str(clip)

    def test_memory(self, clip):
        with pytest.raises(VideoError, match="40 frames of 96x64 need too much memory"):
            read_frames(clip, np.arange, limits=Limits(max_bytes=700_000))
        assert read_frames(clip, np.arange, max_side=40, limits=Limits(max_bytes=700_000)).used == COUNT

    def test_a_codec_that_grows_past_the_limit(self, tmp_path):
        """The container says small; the codec's own header says large: the decoder is told the limit too."""
        path = make_video(tmp_path / "grow.avi", numbered_frames(3), codec="mjpeg", pixel_format="yuvj420p")
        with pytest.raises(VideoError):
            read_frames(path, np.arange, limits=Limits(max_pixels=96 * 64 - 1))


def test_nothing_is_left_open(clip, tmp_path):
    """Descriptors are given back after reading, refusing and leaving early."""
    import os

    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(clip.read_bytes()[:100])
    before = open_files()
    for _ in range(3):
        read_frames(clip, np.array([1]))
        next(iter_frames(clip))
        with pytest.raises(VideoError):
            read_frames(bad, np.arange)
        with open_source(clip, Limits(), float("inf")):
            pass
    import gc

    gc.collect()
    assert open_files() == before


def test_sound_only(tmp_path):
    with pytest.raises(VideoError, match="only 1 audio stream"):
        read_frames(make_sound(tmp_path / "voice.mp4"), np.arange)
