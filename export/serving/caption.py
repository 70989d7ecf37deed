"""`POST /v1/caption`: one video, as a file or as features, with all that a person wants to see about its captions."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from export.serving import predict
from export.serving.batcher import Batcher
from export.serving.body import Form, pieces_of, read_body, upload_file
from export.serving.engine import BEAM, REFUSED, Engine
from export.serving.monitoring import Monitor
from export.serving.patience import while_connected
from export.serving.refusal import RequestError, busy
from export.serving.settings import ServeSettings
from export.serving.videos import VideoReader

_TOP_WORDS = 8  # of each vocabulary, in an answer


class CaptionService:
    """Answers `/v1/caption` and tells the page what it may ask.

    Args:
        engine: what captions.
        settings: limits.
        batcher: the way to the network.
        monitor: counts.
        videos: reads video files; None where the captioner has no encoders.
    """

    def __init__(
        self, engine: Engine, settings: ServeSettings, batcher: Batcher, monitor: Monitor, videos: VideoReader | None
    ) -> None:
        self._engine, self._settings, self._batcher = engine, settings, batcher
        self._monitor, self._videos = monitor, videos
        self._signature = BEAM if BEAM in engine.signatures else predict.DEFAULT_SIGNATURE
        self._spec = engine.signatures[self._signature].inputs[0]
        self._uploads = 0
        self._explains = getattr(videos, "explains", False)  # a reader may know how to (EncoderReader.saliency)

    def info(self) -> dict[str, Any]:
        """What this server takes, for programs and for the page."""
        return {
            "model": self._settings.name,
            "version": self._settings.version,
            "accepts": ["features", *(["video"] if self._videos else [])],
            "feature_size": self._spec.shape[1],
            "streams": [{"name": name, "width": width} for name, width in self._engine.streams],
            "captions": self._most_captions(),
            "explains": self._explains,
            "max_upload_bytes": self._settings.max_upload_bytes,
            "max_json_bytes": self._settings.max_json_bytes,
        }

    async def close(self) -> None:
        """Ends what the video reader has running."""
        if self._videos is not None:
            await self._videos.close()

    async def handle(self, request: Request) -> Response:
        """Captions the video of a request.

        Raises:
            RequestError: what is wrong with the request.
            VideoError: a file that cannot be decoded.
            ClientDisconnect: the client has gone.
        """
        self._batcher.refuse_if_full()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            return JSONResponse(await self._from_features(request))
        if kind == "multipart/form-data":
            return JSONResponse(await self._from_video(request))
        raise RequestError(
            415,
            f"content of type '{kind[:60]}' is not understood",
            remedy="send application/json or multipart/form-data",
        )

    async def _from_features(self, request: Request) -> dict[str, Any]:
        started = time.perf_counter()
        body = await read_body(request, self._settings.max_json_bytes, self._settings.body_timeout_s)
        value = predict.parse_json(body)
        if not isinstance(value, dict) or "features" not in value:
            raise RequestError(400, "the body must be a JSON object with 'features'", remedy='{"features": [...]}')
        features, count = self._features(value["features"]), self._count(value.get("n", self._most_captions()))
        seconds = self._settings.request_timeout_s
        captioned, caption_s = await while_connected(request, self._caption(features, count), seconds)
        self._monitor.observe_captions("features")
        return self._answer(captioned, features, None, {"caption": caption_s}, started)

    async def _from_video(self, request: Request) -> dict[str, Any]:
        started = time.perf_counter()
        if self._videos is None:
            raise RequestError(
                415, "this captioner has no encoders: it reads features, not videos", remedy='{"features": [...]}'
            )
        if self._uploads >= self._settings.max_videos:
            raise busy(f"{self._uploads} videos are in work already")
        self._uploads += 1
        self._monitor.videos.inc()
        try:
            with upload_file() as file:
                form = Form(request.headers["content-type"], file)
                limit = self._settings.max_upload_bytes
                async for piece in pieces_of(request, limit, self._settings.body_timeout_s):
                    form.write(piece)
                form.finish()
                count = self._count(form.fields.get("n", self._most_captions()))
                explain = self._explains and form.fields.get("explain", "") in ("1", "true")
                received_s = time.perf_counter() - started
                seconds = self._settings.request_timeout_s
                answer = await while_connected(request, self._work(Path(file.name), count, explain, seconds), seconds)
        finally:
            self._uploads -= 1
            self._monitor.videos.dec()
        captioned, read, saliency, stages = answer
        self._monitor.observe_captions("video")
        for stage, spent in stages.items():
            self._monitor.observe_stage(stage, spent)
        stages = {"receive": received_s, **stages}
        return {**self._answer(captioned, read.features, read.facts, stages, started), "saliency": saliency}

    async def _work(self, path: Path, count: int, explain: bool, seconds: float) -> Any:
        read = await self._videos.read(path, seconds)  # type: ignore[union-attr]
        captioned, caption_s = await self._caption(read.features, count)
        stages, saliency = {**read.stages, "caption": caption_s}, None
        if explain:
            began = time.perf_counter()
            saliency = await self._videos.saliency(path, captioned[0]["text"])  # type: ignore[union-attr]
            stages["explain"] = time.perf_counter() - began
        return captioned, read, saliency, stages

    async def _caption(self, features: np.ndarray, count: int) -> tuple[list[dict[str, Any]], float]:
        started = time.perf_counter()
        run = functools.partial(self._engine.run, self._signature)
        key = (self._signature, ("features", features.shape))
        outputs = await self._batcher.submit(key, run, {"features": features[None]})
        return _captions({name: value[0] for name, value in outputs.items()}, count), time.perf_counter() - started

    def _features(self, value: Any) -> np.ndarray:
        """Features (D,) from a list, or from an object with a list a stream."""
        if isinstance(value, dict):
            names = [name for name, _ in self._engine.streams]
            if not names or sorted(value) != sorted(names):
                raise RequestError(
                    400, "'features' must be a list or have the captioner's streams: " + ", ".join(names)
                )
            parts = [
                predict.to_array(value[name], predict.TensorSpec(name, "DT_FLOAT", (width,)))
                for name, width in self._engine.streams
            ]
            return np.concatenate(parts)
        spec = predict.TensorSpec("features", "DT_FLOAT", self._spec.shape[1:])
        return predict.to_array(value, spec)

    def _count(self, value: Any) -> int:
        most = self._most_captions()
        known = [str(number) for number in range(1, most + 1)]
        if isinstance(value, bool) or str(value) not in known:
            raise RequestError(400, f"'n' must lie in 1..{most}, the hypotheses of the search")
        return int(value)

    def _most_captions(self) -> int:
        shape = next(
            (s.shape for s in self._engine.signatures[self._signature].outputs if s.name == "captions"), (1, 1)
        )
        return shape[1] or 1

    def _answer(
        self,
        captions: list[dict[str, Any]],
        features: np.ndarray,
        facts: dict[str, Any] | None,
        stages: dict[str, float],
        started: float,
    ) -> dict[str, Any]:
        spent = {**stages, "total": time.perf_counter() - started}
        return {
            "captions": captions,
            "vocabularies": self._vocabularies(features),
            "video": facts,
            "saliency": None,
            "timing_ms": {name: round(1000 * seconds, 2) for name, seconds in spent.items()},
        }

    def _vocabularies(self, features: np.ndarray) -> list[dict[str, Any]]:
        """The strongest entries of each vocabulary, best first."""
        found, first = [], 0
        for name, width in self._engine.streams:
            values = features[first : first + width]
            first += width
            labels = self._videos.labels.get(name, ()) if self._videos is not None else ()
            best = np.argsort(-values, kind="stable")[:_TOP_WORDS]
            top = [{"label": labels[i] if i < len(labels) else f"#{i}", "value": float(values[i])} for i in best]
            found.append({"name": name, "top": top})
        return found


def _captions(outputs: dict[str, np.ndarray], count: int) -> list[dict[str, Any]]:
    """The captions of one video from a signature's outputs, best first.

    Raises:
        RequestError: 400, the network could not work with the features.
    """
    if "caption" in outputs:  # `serving_default`: one caption, no details
        outputs = {"captions": outputs["caption"][None], "scores": outputs["score"][None]}
    if outputs["scores"][0] <= REFUSED:
        raise RequestError(400, "the features are too large for the network", remedy="extract them again")
    captions = []
    for rank in range(min(count, len(outputs["captions"]))):
        entry: dict[str, Any] = {
            "text": outputs["captions"][rank].decode("utf-8", "replace"),
            "score": float(outputs["scores"][rank]),
        }
        if "token_ids" in outputs:
            ids = outputs["token_ids"][rank]
            length = int(np.argmin(ids != 0)) if (ids == 0).any() else len(ids)
            entry["token_ids"] = ids[:length].tolist()
            if "token_log_probs" in outputs:
                entry["token_log_probs"] = outputs["token_log_probs"][rank][: length + 1].tolist()
        captions.append(entry)
    return captions
