"""Decoding in children: the same frames, and a child that dies, hangs or lies costs one video."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import threading
import time

import numpy as np
import pytest

from glrg_tf.errors import ConfigError, VideoError
from glrg_tf.video import child as child_process
from glrg_tf.video import messages
from glrg_tf.video.isolated import DecoderPool, probe_isolated, read_frames_isolated
from glrg_tf.video.reader import Limits, probe, read_frames
from glrg_tf.video.sampling import FramePlan
from tests.video.made import make_video, numbered_frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", numbered_frames(30), options={"g": "10"})


@pytest.fixture(scope="module")
def pool():
    with DecoderPool(2) as shared_pool:
        yield shared_pool


def test_the_same_as_without_a_child(clip):
    plan = FramePlan(positions=4)
    there = read_frames_isolated(clip, lambda count: plan.wanted(count), max_side=48)
    here = read_frames(clip, plan.wanted, max_side=48)
    assert np.array_equal(there.images, here.images)
    assert np.array_equal(there.indices, here.indices)
    assert np.array_equal(there.timestamps, here.timestamps)
    assert (there.probe, there.warnings, there.expected) == (here.probe, here.warnings, here.expected)
    assert probe_isolated(clip) == probe(clip)


def test_refusals_are_the_same_sentences(tmp_path, clip):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[:200])
    for path in (cut, tmp_path, tmp_path / "absent.mp4"):
        with pytest.raises(VideoError) as here:
            read_frames(path, np.arange)
        with pytest.raises(VideoError) as there:
            read_frames_isolated(path, np.arange)
        assert str(there.value) == str(here.value)


def test_mistakes_of_the_caller_are_the_callers(clip):
    with pytest.raises(ConfigError, match="whole numbers"):
        read_frames_isolated(clip, lambda count: np.array([count]))

    def breaks(count):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_frames_isolated(clip, breaks)


def test_relative_paths_and_folders_with_modules_of_the_same_name(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "clip.mp4")
    (tmp_path / "numpy.py").write_text("raise SystemExit('not this one')")
    assert read_frames_isolated("clip.mp4", np.arange).decoded == 30


def test_a_pool_reads_everything_once(pool, clip, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"")
    items = [(index, bad if index % 5 == 3 else clip) for index in range(12)]
    results = dict(pool.read_many(iter(items), FramePlan(positions=2).wanted))
    assert sorted(results) == list(range(12))
    for index, result in results.items():
        assert isinstance(result, VideoError) == (index % 5 == 3)
    assert {facts.frames for _, facts in pool.probe_many((key, clip) for key in range(3))} == {30}


def test_items_are_taken_only_as_needed(pool, clip):
    taken = []

    def endless():
        for index in range(10**9):
            taken.append(index)
            yield index, clip

    results = pool.read_many(endless(), np.array([0]), ahead=1)
    for _ in range(3):
        next(results)
    assert len(taken) <= 3 + 2 + 1 + 1


def test_a_crash_costs_one_video(clip, monkeypatch):
    """The child is killed in the middle of a video, as a fault in a decoder would do."""
    with DecoderPool(1) as crashing:
        victim = crashing._children[0]

        def select(count):
            if not died:
                died.append(victim._process.pid)
                os.kill(victim._process.pid, signal.SIGSEGV)
                victim._process.wait()
            return np.arange(count)

        died: list[int] = []
        results = dict(crashing.read_many([("a", clip), ("b", clip), ("c", clip)], select, ahead=0))
    assert isinstance(results["a"], VideoError) and "crashed" in results["a"].what
    assert results["a"].where == str(clip) and results["a"].remedy
    assert results["b"].decoded == results["c"].decoded == 30


def test_a_child_that_hangs_is_ended(clip, monkeypatch):
    monkeypatch.setattr(child_process, "GRACE_SECONDS", 0.3)
    with DecoderPool(1, limits=Limits(max_seconds=1.0)) as slow:

        def select(count):
            os.kill(slow._children[0]._process.pid, signal.SIGSTOP)
            return np.arange(count)

        start = time.monotonic()
        ((_, result),) = slow.read_many([("a", clip)], select)
        assert time.monotonic() - start < 8
        assert isinstance(result, VideoError) and "longer than 1 s" in result.what
        ((_, result),) = slow.read_many([("b", clip)], np.arange)
        assert result.decoded == 30


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_too_much_memory_is_an_error_of_the_video(clip):
    with pytest.raises(VideoError):
        read_frames_isolated(clip, np.arange, memory=60 << 20)


def test_closing_ends_work_in_progress(clip):
    pool = DecoderPool(1)
    begun = threading.Event()

    def select(count):
        begun.set()
        time.sleep(0.5)
        return np.arange(count)

    results = []
    reading = threading.Thread(target=lambda: results.extend(pool.read_many([("a", clip)], select)))
    reading.start()
    assert begun.wait(20)
    pool.close()
    reading.join(20)
    assert not reading.is_alive()
    assert isinstance(results[0][1], VideoError)


def test_children_write_no_files(clip):
    """The limit on file size is zero in a child: what decodes untrusted bytes cannot leave anything on the disk."""
    child = child_process.Child(Limits(), None)
    try:
        child.read(clip, np.arange, None)
        with open(f"/proc/{child._process.pid}/limits") as stream:
            limits = stream.read()
    except FileNotFoundError:
        pytest.skip("no /proc here")
    finally:
        child.close()
    assert "Max file size             0" in limits
    assert "Max core file size        0" in limits


def said(**changes):
    """A result as a child would send it, with something in it changed."""
    facts = {
        "path": "x", "container": "mov", "codec": "h264", "pixel_format": "yuv420p", "width": 2, "height": 2,
        "rotation": 0, "mirrored": False, "sample_aspect_ratio": 1.0, "duration": 1.0, "frame_rate": 2.0,
        "variable_frame_rate": False, "header_frames": None, "frames": 2, "counted": "decoded", "audio": False,
        "streams": 1,
    }  # fmt: skip
    result = {"expected": 2, "decoded": 2, "indices": [0, 1], "shape": [2, 2, 2, 3], "warnings": [], "probe": facts}
    return {"frames": {**result, **changes}}


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [2, 10**6, 10**6, 3]},
        {"shape": [2, -2, -2, 3]},
        {"shape": [3, 2, 2, 3]},
        {"shape": [2, 2, 2]},
        {"shape": "no"},
        {"indices": [1, 0]},
        {"indices": [0, 2]},
        {"indices": [-1, 0]},
        {"indices": [[0, 1]]},
        {"decoded": None},
        {"probe": {}},
        {"probe": []},
        {"warnings": 3},
    ],
)
def test_a_child_is_not_believed(changes):
    data = io.BytesIO(bytes(16 + 24))
    assert messages.receive_frames(data, said(), "x", 1000).images.shape == (2, 2, 2, 3)
    with pytest.raises(messages.BrokenLinkError):
        messages.receive_frames(io.BytesIO(bytes(16 + 24)), said(**changes), "x", 1000)


def test_malformed_messages_end_the_talk():
    for data in (b"", b"\x01", b"\xff\xff\xff\xff", b"\x02\0\0\0[]", b"\x02\0\0\0x", b"\x01\0\0\0x"):
        with pytest.raises(messages.BrokenLinkError):
            messages.receive(io.BytesIO(data))
