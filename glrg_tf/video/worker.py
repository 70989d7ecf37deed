"""The decoding child: reads one video after another for its parent, under limits it puts on itself first.

Started as `python -m glrg_tf.video.worker MEMORY_BYTES` by `isolated.py`; it talks by `messages.py` on its standard
input and output. It may not write files, and it dies of its own bugs without harm to the parent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import GlrgError
from glrg_tf.video.messages import BrokenLinkError, receive, send, send_frames
from glrg_tf.video.probe import probe
from glrg_tf.video.reader import Limits, read_frames
from glrg_tf.video.source import REENCODE

OPEN_FILES = 64
CPU_GRACE = 10  # seconds of processor time beyond the wall time allowed, once for each core


def main(arguments: list[str]) -> int:
    """Serves until the parent goes away."""
    commands = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # nothing a library prints may mix with the messages or reach the terminal
        os.dup2(nowhere, standard)
    limit_process(int(arguments[0]))
    with contextlib.suppress(BrokenLinkError, BrokenPipeError):
        while True:
            serve(commands, replies, receive(commands))
    return 0


def serve(commands: BinaryIO, replies: BinaryIO, task: dict[str, Any]) -> None:
    """Does one task and answers it with a result or with an error the parent can raise."""
    limits = Limits(**task["limits"])
    allow_processor_seconds(limits.max_seconds)

    def ask_parent(frame_count: int) -> NDArray[np.int64]:
        send(replies, {"frame_count": frame_count})
        return np.array(receive(commands)["indices"], np.int64)

    try:
        if task["what"] == "probe":
            facts = probe(task["path"], limits, exact=bool(task["exact"]))
            send(replies, {"probe": dataclasses.asdict(facts)})
        else:
            send_frames(replies, read_frames(task["path"], ask_parent, max_side=task["max_side"], limits=limits))
    except GlrgError as error:
        send(replies, {"error": error.what, "remedy": error.remedy})
    except MemoryError:
        send(replies, {"error": "reading it takes more memory than allowed", "remedy": "shrink the video"})
    except (BrokenLinkError, BrokenPipeError):
        raise
    except Exception as error:  # an odd refusal of PyAV's; the child lives on
        send(replies, {"error": f"the reader failed on it ({type(error).__name__}: {error})", "remedy": REENCODE})


def limit_process(memory_bytes: int) -> None:
    """Limits address space, files and core dumps of this process, where the system knows such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {"RLIMIT_AS": memory_bytes, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": OPEN_FILES}
    for name, value in wanted.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))


def allow_processor_seconds(seconds: float) -> None:
    """Lets this process use so many more seconds on each core; beyond them the system ends it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = usage.ru_utime + usage.ru_stime
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        soft = int(spent + (seconds + CPU_GRACE) * (os.cpu_count() or 1))
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
