"""Files that are no videos: one sentence each, at once, with nothing on the terminal and nothing followed."""

from __future__ import annotations

import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from glrg_tf.errors import VideoError
from glrg_tf.video.guarded import open_regular
from glrg_tf.video.magic import describe_bytes, missing_bytes
from glrg_tf.video.reader import iter_frames, probe, read_frames
from tests.video.made import atoms, make_video, numbered_frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A small mp4 whose index stands at its end."""
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", numbered_frames(30), options={"g": "10"})


def refusal(path) -> VideoError:
    """The one error that reading, probing and streaming give, in little time."""
    start = time.monotonic()
    with pytest.raises(VideoError) as caught:
        read_frames(path, np.arange)
    with pytest.raises(VideoError) as probed:
        probe(path)
    with pytest.raises(VideoError):
        next(iter_frames(path))
    assert time.monotonic() - start < 5
    assert caught.value.what == probed.value.what
    assert "\n" not in caught.value.what and len(caught.value.what) < 150
    assert caught.value.where and caught.value.exit_code == 4
    return caught.value


CONTENTS = {
    "empty.mp4": (b"", "empty"),
    "zeros.mp4": (bytes(5000), "zeros"),
    "text.mp4": (b"just some words\n" * 40, "text file"),
    "page.mp4": (b"<!DOCTYPE html><html>not found</html>", "web page"),
    "picture.mp4": (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG picture"),
    "photo.mp4": (b"\xff\xd8\xff\xe0" + bytes(100), "JPEG picture"),
    "sound.mp4": (b"RIFF\x24\x08\x00\x00WAVEfmt " + bytes(100), "WAV audio"),
    "archive.mp4": (b"PK\x03\x04" + bytes(100), "zip archive"),
    "pointer.mp4": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
    "noise.mp4": (np.random.default_rng(1).bytes(20_000), "not a video"),
    "list.m3u8": (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nclip.mp4\n#EXT-X-ENDLIST\n", "playlist"),
    "list.ffconcat": (b"ffconcat version 1.0\nfile clip.mp4\n", "list of files"),
    "stream.sdp": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", "network stream"),
    "dash.mpd": (b'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>', "playlist"),
    "subtitles.mp4": (b"1\n00:00:00,000 --> 00:00:02,000\nhello\n", "text file"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_not_videos(tmp_path, name):
    content, words = CONTENTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    error = refusal(path)
    assert words in error.what or words in (error.remedy or "")
    assert error.remedy


def test_a_real_hdf5_file_called_mp4(tmp_path):
    with h5py.File(tmp_path / "features.mp4", "w") as file:
        file["feats"] = np.zeros((3, 4))
    assert "HDF5" in refusal(tmp_path / "features.mp4").what


@pytest.mark.parametrize("name", ["clip.mp4", "frame%03d.png", "https://example.org/a.mp4", "concat:a|b", "a\0b", "-i"])
def test_names_are_only_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert "no such video file" in (error := refusal(name)).what or "cannot be opened" in error.what
    if "://" in name:
        assert "only local files" in (error.remedy or "")


def test_odd_names_of_good_files_are_read(tmp_path, clip):
    for name in (
        "frame%03d.mp4",
        "a|b.mp4",
        "with space é.mp4",
        "no_suffix",
        "list.m3u8",
        os.fsdecode(b"\xff\xfe.mp4"),
    ):
        path = tmp_path / name
        path.write_bytes(clip.read_bytes())
        assert read_frames(path, np.arange).decoded == 30
    assert read_frames(os.fsencode(tmp_path / "no_suffix"), np.arange).decoded == 30


def test_things_that_are_not_files(tmp_path):
    assert "folder" in refusal(tmp_path).what
    fifo = tmp_path / "pipe.mp4"
    os.mkfifo(fifo)
    assert "regular file" in refusal(fifo).what  # and does not wait for a writer
    assert "regular file" in refusal("/dev/zero").what
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert "regular file" in refusal(tmp_path / "s").what
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    assert "cannot be opened" in refusal(loop).what


def test_a_file_that_may_not_be_read(tmp_path, clip, monkeypatch):
    path = tmp_path / "secret.mp4"
    path.write_bytes(clip.read_bytes())
    path.chmod(0)
    if os.access(path, os.R_OK):  # the administrator may read everything

        def refuse(*arguments, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    assert "may not be read" in refusal(path).what


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_an_mp4_cut_before_its_index(tmp_path, clip, part):
    data = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(len(data) * part)])
    error = refusal(path)
    assert "no moov atom" in error.what and "again" in error.remedy


def test_an_index_without_pictures(tmp_path, clip):
    kept = [atom for kind, atom in atoms(clip.read_bytes()) if kind != b"mdat"]
    path = tmp_path / "index.mp4"
    path.write_bytes(b"".join(kept))
    assert "none of its frames" in refusal(path).what


@pytest.mark.parametrize(("codec", "pixels"), [("mjpeg", "yuvj420p"), ("png", "rgb24"), ("rawvideo", "yuv420p")])
def test_sizes_that_cannot_be_are_refused_before_memory_is_taken(tmp_path, codec, pixels):
    """A header that says 65000x65000, which would be 12 GiB a picture."""
    path = make_video(tmp_path / "huge.avi", numbered_frames(3), codec=codec, pixel_format=pixels)
    data = bytearray(path.read_bytes())
    sizes = {b"strf....": "<ii", b"\xff\xc0\x00\x11\x08": ">HH", b"IHDR": ">II"}
    for mark, form in sizes.items():
        for found in re.finditer(mark, bytes(data), re.DOTALL):
            start = found.end() + (4 if mark.startswith(b"strf") else 0)
            data[start : start + struct.calcsize(form)] = struct.pack(form, 65000, 65000)
    path.write_bytes(data)
    before = peak_memory()
    assert "decoded" in refusal(path).what
    assert peak_memory() - before < 300 << 20


def test_an_index_of_more_frames_than_can_be(tmp_path, clip):
    """A table of two thousand million samples in a file of some kilobytes."""
    data = bytearray(clip.read_bytes())
    count = data.index(b"stsz") + 12
    data[count : count + 4] = b"\x7f\xff\xff\xff"
    path = tmp_path / "samples.mp4"
    path.write_bytes(data)
    start, before = time.monotonic(), peak_memory()
    try:
        assert read_frames(path, np.arange).decoded <= 30
    except VideoError as error:
        assert error.what
    assert time.monotonic() - start < 5 and peak_memory() - before < 300 << 20


def peak_memory() -> int:
    """Bytes of memory this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_nothing_reaches_the_terminal(tmp_path, clip):
    """FFmpeg complains about damaged files at length; the user gets our sentence only."""
    data = bytearray(clip.read_bytes())
    for position in range(200, len(data) - 1000, 97):
        data[position] ^= 0x55
    (tmp_path / "damaged.mp4").write_bytes(data)
    (tmp_path / "cut.mp4").write_bytes(data[:300])
    code = (
        "import sys, numpy as np\n"
        "from glrg_tf.errors import VideoError\n"
        "from glrg_tf.video.reader import read_frames\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        read_frames(path, np.arange)\n"
        "    except VideoError:\n"
        "        pass\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "damaged.mp4"), str(tmp_path / "cut.mp4"), str(clip)]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_missing_bytes_are_counted(tmp_path, clip):
    for container, suffix in (("mp4", "mp4"), ("matroska", "mkv"), ("avi", "avi")):
        path = make_video(tmp_path / f"whole.{suffix}", numbered_frames(10), container=container)
        with open_regular(str(path), float("inf")) as file:
            assert missing_bytes(file) == 0
        data = path.read_bytes()
        path.write_bytes(data[:-500])
        with open_regular(str(path), float("inf")) as file:
            assert missing_bytes(file) == 500, container


def test_descriptions_of_videos_are_none(clip):
    assert describe_bytes(clip.read_bytes()[:4096]) is None
    assert describe_bytes(b"RIFF\x00\x00\x00\x00AVI LIST") is None
    assert describe_bytes(b"GIF89a" + bytes(range(200))) is None
