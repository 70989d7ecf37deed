"""The decoding process: a plan on its command line, videos on its standard input, clips on its standard output.

    python -m glrg_tf.encoders.extract_child PLAN

It gives up what decoding does not need before it opens the first file: memory beyond a limit, writing files, core
dumps. It ends when its parent does. TensorFlow is never loaded here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import IO

from glrg_tf.config import from_dict
from glrg_tf.encoders.extract_clips import DecodePlan, read_clips
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.encoders.extract_wire import send
from glrg_tf.errors import ConfigError, GlrgError, VideoError

MEMORY = 6 << 30  # bytes of address space: two for a file's frames, the rest for decoders, threads and libraries
_OPEN_FILES = 64


def main(arguments: list[str]) -> int:
    """Answers until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    plan = from_dict(DecodePlan, json.loads(arguments[0]))
    answers = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # what a library prints must not end up between the answers
    give_up_rights()
    for item in _requests():
        send(answers, _answer(item, plan), plan)
    return 0


def give_up_rights(memory: int = MEMORY) -> None:
    """Limits this process; a limit that the system does not know, or has set lower already, is left as it is."""
    try:
        import resource
    except ImportError:  # no such limits on Windows
        return
    wanted = {"RLIMIT_AS": memory, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": _OPEN_FILES}
    for name, value in wanted.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            number = getattr(resource, name)
            ceiling = resource.getrlimit(number)[1]
            limit = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
            resource.setrlimit(number, (limit, limit))


def _answer(item: VideoItem, plan: DecodePlan):  # noqa: ANN202 - Clips | VideoError
    try:
        return read_clips(item, plan)
    except VideoError as error:
        return error
    except GlrgError as error:
        return VideoError(error.what, where=error.where or item.path, remedy=error.remedy)
    except MemoryError:
        return VideoError("reading it takes more memory than allowed", where=item.path, remedy="shrink the video")


def _requests():  # noqa: ANN202 - Iterator[VideoItem]
    """Items from standard input; a parent that is gone ends this process at once, in the middle of a video too."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, lines), daemon=True).start()
    while True:
        value = json.loads(lines.get())
        yield VideoItem(value["id"], Path(value["path"]), value["start"], value["end"])


def _listen(stream: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (BrokenPipeError, ConfigError, IndexError):
        os._exit(2)
