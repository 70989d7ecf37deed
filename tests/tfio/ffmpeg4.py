"""Gives the libraries of FFmpeg 4, as a wheel of OpenCV brings them, the names by which tensorflow-io asks for them.

python tests/tfio/ffmpeg4.py FOLDER        links in FOLDER, for LD_LIBRARY_PATH
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys

LIBRARIES = ("avformat.so.58", "avcodec.so.58", "avutil.so.56", "swscale.so.5", "swresample.so.3")


def link(folder: pathlib.Path) -> None:
    """Makes the links."""
    spec = importlib.util.find_spec("cv2")
    if spec is None or spec.origin is None:
        sys.exit("no OpenCV here: pip install -r requirements-tfio.txt")
    (libraries,) = pathlib.Path(spec.origin).parent.parent.glob("opencv_python*.libs")
    folder.mkdir(parents=True, exist_ok=True)
    for name in LIBRARIES:
        stem, _, version = name.partition(".so.")
        (found,) = libraries.glob(f"lib{stem}-*.so.{version}.*")
        place = folder / f"lib{name}"
        place.unlink(missing_ok=True)
        place.symlink_to(found.resolve())
    for other in libraries.iterdir():  # what those need themselves
        place = folder / other.name
        place.unlink(missing_ok=True)
        place.symlink_to(other.resolve())


if __name__ == "__main__":
    link(pathlib.Path(sys.argv[1]))
