"""Video files to features, for the server: decoded in a limited child process, encoded in this one.

The numbers are those of `glrg caption`: the same decoder, one video a batch.
"""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from glrg_tf.errors import VideoError

if TYPE_CHECKING:
    from export.serving.saliency import SaliencyPictures
    from glrg_tf.encoders.bundle import EncoderBundle
    from glrg_tf.encoders.extract_pool import ChildDecoder
    from glrg_tf.video.reader import Limits

_MAX_FRAMES_BYTES = 2**30  # of the decoded frames of one video
_MAX_HOURS = 2.0  # of one video


@dataclasses.dataclass(frozen=True)
class ReadVideo:
    """What a video file gave."""

    features: np.ndarray  # float32 (D,), in the captioner's column order
    facts: dict[str, Any]  # for people: frames, and what is odd about the file
    stages: dict[str, float]  # seconds each stage took


class VideoReader(Protocol):
    """Reads video files that nobody vouches for."""

    labels: Mapping[str, tuple[str, ...]]  # stream -> what its columns mean

    async def read(self, path: Path, seconds: float) -> ReadVideo:
        """Features of one file; a file that takes longer than `seconds` is given up.

        Raises:
            VideoError: it cannot be decoded, or is beyond the limits.
        """
        ...

    async def close(self) -> None:
        """Ends what the reader has running."""
        ...


class EncoderReader:
    """Reads videos with a captioner's encoders.

    Args:
        bundle: the encoders.
        streams: names of the streams the captioner reads, in its column order.
        decoders: child processes that decode at once.
        seconds: most seconds one file may take to decode.
        pictures: makes what draws where the words of captions looked; None where nothing can.
    """

    def __init__(
        self,
        bundle: EncoderBundle,
        streams: Sequence[str],
        decoders: int,
        seconds: float,
        pictures: Callable[[Limits], SaliencyPictures] | None = None,
    ) -> None:
        from glrg_tf.encoders.extract_clips import DecodePlan
        from glrg_tf.video.reader import Limits

        self._bundle, self._streams = bundle, tuple(streams)
        self.labels: Mapping[str, tuple[str, ...]] = {
            name: stream.spec.labels for name, stream in bundle.streams.items()
        }
        limits = Limits(max_duration=_MAX_HOURS * 3600, max_seconds=seconds, max_bytes=_MAX_FRAMES_BYTES, threads=1)
        self._plan = DecodePlan.of(bundle.plan, [bundle.streams[name].spec for name in self._streams], limits)
        self._pictures = pictures(limits) if pictures is not None else None
        self._idle = [self._decoder() for _ in range(decoders)]
        self._free = asyncio.Semaphore(decoders)
        self._threads = ThreadPoolExecutor(decoders, thread_name_prefix="decoder")
        self._network = ThreadPoolExecutor(1, thread_name_prefix="encoders")

    @property
    def explains(self) -> bool:
        """Whether `saliency` can be asked."""
        return self._pictures is not None

    async def saliency(self, path: Path, sentence: str) -> list[dict[str, Any]]:
        """Where each word of a sentence looked in a file that `read` has read.

        Raises:
            VideoError: it cannot be decoded.
        """
        async with self._free:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._pictures.draw, path, sentence)  # type: ignore[union-attr]

    def _decoder(self) -> ChildDecoder:
        from glrg_tf.encoders.extract_pool import ChildDecoder

        return ChildDecoder(self._plan)

    async def read(self, path: Path, seconds: float) -> ReadVideo:
        """Features of one file; a file that takes longer than `seconds` is given up.

        Raises:
            VideoError: it cannot be decoded, or is beyond the limits.
        """
        from glrg_tf.encoders.extract_items import VideoItem

        started, item = time.perf_counter(), VideoItem("video", path)
        clips = await self._decode(item)
        decoded = time.perf_counter()
        if isinstance(clips, VideoError):
            raise clips
        loop = asyncio.get_running_loop()
        features, facts = await loop.run_in_executor(self._network, self._encode, item, clips)
        stages = {"decode": decoded - started, "encode": time.perf_counter() - decoded}
        return ReadVideo(features, facts, stages)

    async def _decode(self, item: Any) -> Any:
        """The clips of a video, or a VideoError; the child is killed when nobody waits for it any more."""
        async with self._free:
            decoder = self._idle.pop()
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, decoder.read, item)
            except asyncio.CancelledError:
                decoder.close()
                decoder = self._decoder()
                raise
            finally:
                self._idle.append(decoder)

    def _encode(self, item: Any, clips: Any) -> tuple[np.ndarray, dict[str, Any]]:
        from glrg_tf.encoders.extract import Encoded, encode_group

        (found,) = encode_group(self._bundle, self._plan, [item], [clips], 1)
        if not isinstance(found, Encoded):  # `_decode` answers with an error for those
            raise found.error
        facts: dict[str, Any] = {"frames": found.decoded, "frames_expected": found.expected, "frames_used": found.used}
        return found.pooled(self._streams), facts | ({"note": "; ".join(found.warnings)} if found.warnings else {})

    def warm_up(self) -> None:
        """Reads a made-up video, so that the first real one need not wait for processes and graphs.

        Raises:
            VideoError: it cannot be decoded: videos cannot be read on this machine.
        """
        from glrg_tf.encoders.extract_items import VideoItem
        from glrg_tf.video.writer import write_video

        with tempfile.TemporaryDirectory(prefix="glrg-warm-up-") as folder:
            path = Path(folder) / "grey.mp4"
            write_video(path, np.full((16, 64, 64, 3), 128, np.uint8), 8, codec="mpeg4")
            for decoder in self._idle:
                clips = decoder.read(VideoItem("video", path))
                if isinstance(clips, VideoError):
                    raise clips
            self._encode(VideoItem("video", path), clips)

    async def close(self) -> None:
        """Ends the child processes and threads."""
        for decoder in self._idle:
            decoder.close()
        self._threads.shutdown()
        self._network.shutdown()
