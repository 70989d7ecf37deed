"""`glrg serve`: captions over HTTP, for programs in TF Serving's format and for people as a page."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import logging
import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.encoders import open_encoder
from glrg_cli.parser import integer
from glrg_tf.errors import ConfigError

if TYPE_CHECKING:
    from export.serving.engine import GraphEngine
    from export.serving.settings import ServeSettings
    from export.serving.videos import EncoderReader

HELP = "caption over HTTP: TF Serving's REST interface, and a page to try it"
DESCRIPTION = """\
Starts one server process. CAPTIONER is a run of `glrg train`, a captioner folder, a preset name, or a SavedModel of
`glrg export`. Programs ask as they would ask TF Serving (POST /v1/models/captioner:predict) or send a video file to
/v1/caption; people open the page. Ctrl-C or SIGTERM finishes what is in work and stops.

It listens on this machine alone unless --host says otherwise; then give a token too (--token-file, or the variable
GLRG_SERVE_TOKEN)."""
EXAMPLES = """\
examples:
  glrg serve runs/a
  glrg serve runs/a --host 0.0.0.0 --token-file token.txt
  curl -d '{"instances": [{"features": [0.1, ...]}]}' http://127.0.0.1:8501/v1/models/captioner:predict
  curl -F video=@clip.mp4 http://127.0.0.1:8501/v1/caption"""

TOKEN_VARIABLE = "GLRG_SERVE_TOKEN"  # noqa: S105 (a name, not a token)
_MIB = 2**20
_M_ARENA_MAX = -8  # number of that setting in malloc.h


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg serve`."""
    parser.add_argument(
        "captioner", metavar="CAPTIONER", help="run, captioner folder, preset name or SavedModel folder"
    )
    parser.add_argument("--port", type=integer(0, 65535), default=8501, metavar="N", help="0: any free (default: 8501)")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: 127.0.0.1)")
    told = "what reads the videos: encoder folder or config, or a captioner that carries one"
    parser.add_argument("--encoder", metavar="ENC", help=told)
    parser.add_argument("--beam", type=integer(1, 50), metavar="K", help="hypotheses kept (default: the captioner's)")
    parser.add_argument("--name", default="captioner", help="model name in the paths (default: captioner)")
    parser.add_argument("--no-page", action="store_true", help="only the interface for programs")
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-batch", type=integer(1, 1024), default=32, metavar="N", help="videos at once (32)")
    limits.add_argument("--max-wait", type=float, default=2.0, metavar="MS", help="wait for a fuller batch, ms (2)")
    limits.add_argument("--max-queue", type=integer(1), default=256, metavar="N", help="videos that may wait (256)")
    limits.add_argument("--max-upload", type=integer(1), default=256, metavar="MIB", help="size of a video file (256)")
    limits.add_argument("--max-videos", type=integer(1), default=8, metavar="N", help="uploads in work or waiting (8)")
    limits.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for one answer (60)")
    access = parser.add_argument_group("who may ask")
    access.add_argument("--token-file", type=pathlib.Path, metavar="FILE", help="clients must send this file's line")
    access.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="name of this server; repeat")


def run(args: argparse.Namespace, console: Console) -> int:
    """Serves until told to stop; returns 0 (SIGTERM) or 130 (Ctrl-C)."""
    from export.serving.server import open_socket, serve, url_of

    settings = _settings(args)
    _log_to(console)
    _share_heaps()
    with open_socket(settings) as listening:
        console.info(f"loading {args.captioner}")
        engine, videos = _load(args, settings)
        from export.serving.app import Application

        url = url_of(settings, listening)

        def started() -> None:
            _announce(settings, url, videos is not None, console)

        def warm_up() -> None:
            engine.warm_up(settings.max_batch)
            if videos is not None:
                videos.warm_up()

        code = serve(Application(engine, settings, videos, warm_up), listening, started)
    console.info("stopped")
    return code


def _settings(args: argparse.Namespace) -> ServeSettings:
    from export.serving.settings import ServeSettings

    return ServeSettings(
        host=args.host,
        port=args.port,
        name=args.name,
        max_batch=args.max_batch,
        max_wait_ms=args.max_wait,
        max_queue=args.max_queue,
        max_upload_bytes=args.max_upload * _MIB,
        max_videos=args.max_videos,
        request_timeout_s=args.timeout,
        token=_token(args.token_file),
        allowed_hosts=tuple(args.allow_host),
        page=not args.no_page,
    )


def _token(file: pathlib.Path | None) -> str | None:
    """The token that clients must send, from a file or the environment; None asks for none."""
    # Taken out of the environment: the processes that decode strangers' videos need not know it.
    from_environment = os.environ.pop(TOKEN_VARIABLE, None)
    if file is None:
        return from_environment or None
    lines = file.read_text("utf-8", "replace").split()
    if len(lines) != 1:
        raise ConfigError("the token file must hold one word", where=file)
    return lines[0]


def _load(args: argparse.Namespace, settings: ServeSettings) -> tuple[GraphEngine, EncoderReader | None]:
    from export.serving import engine

    if engine.newest_version(args.captioner) is not None:
        if args.beam or args.encoder:
            raise ConfigError("a SavedModel has its own beam and encoders", remedy="leave --beam and --encoder out")
        return engine.saved_model_engine(args.captioner), None
    from glrg_tf.captioner.captioner import VideoCaptioner

    captioner = VideoCaptioner.from_preset(args.captioner)
    return engine.captioner_engine(captioner, args.beam), _video_reader(captioner, args, settings)


def _video_reader(captioner: Any, args: argparse.Namespace, settings: ServeSettings) -> EncoderReader | None:
    """What reads video files: the captioner's encoders, or those named; None where there are none."""
    if args.encoder:
        captioner.encoders = open_encoder(args.encoder)
    if captioner.encoders is None:
        return None
    from export.serving.videos import EncoderReader

    decoders = min(settings.max_videos, os.cpu_count() or 1)
    names, seconds = captioner.config.stream_names, settings.request_timeout_s
    return EncoderReader(captioner.encoders, names, decoders, seconds, _pictures(captioner))


def _pictures(captioner: Any) -> Any:
    """What draws where words looked; None where no encoder has a map."""
    from export.serving.saliency import SaliencyPictures
    from glrg_tf.explain.cells import map_stream

    try:
        map_stream(captioner.encoders, captioner.config.stream_names)
    except ConfigError:
        return None
    return lambda limits: SaliencyPictures(captioner, limits)


def _announce(settings: ServeSettings, url: str, videos: bool, console: Console) -> None:
    if not settings.loopback and settings.token is None:
        console.warning(f"{settings.host} is open to the network and no token is asked for (--token-file)")
    reads = "videos and features" if videos else "features (no encoders, so no video files)"
    console.info(f"serving {url}  reads {reads}")
    console.info(f"  programs: POST {url}/v1/models/{settings.name}:predict")
    if settings.page:
        console.info(f"  people:   {url}/")
    console.info("Ctrl-C stops")
    console.result({"url": url, "model": settings.name, "videos": videos})
    console.flush()


def _share_heaps() -> None:
    """Keeps memory flat: glibc would give every thread a heap of its own, and each of them fragments by itself."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # other C libraries have no such setting
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _log_to(console: Console) -> None:
    """Sends what the server has to report (failures, warnings) to the console."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.warning(self.format(record))

    # Of what clients send wrongly the metrics tell; a line for each would fill disks.
    for name, level in (("uvicorn.error", logging.ERROR), ("export.serving", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [Handler(level)], False
        logger.setLevel(level)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
