"""The truth about the clips of a world: what is where in each frame, what happens when, and which labels hold.

`truth.jsonl` has one line a clip:

    {"id", "split", "video", "frames", "frame_rate", "size": [width, height],
     "scenes": [{"scene", "start", "end"}],                               frames, end exclusive
     "objects": [{"kind", "colour" | null, "role": "actor" | "companion", "boxes": [[x0, y0, x1, y1] | null, …]}],
     "events": [{"name", "type": "action" | "story" | "weather", "actor", "companion" | null, "start", "end"}],
     "actions": [names of actions], "classes": [names of kinds], "caption": the complete and correct one,
     "annotators": [who wrote each caption of captions.jsonl]}

`actor` and `companion` are indices of `objects`.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from glrg_tf.data.world import names
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

Box = tuple[float, float, float, float]
FILE = "truth.jsonl"


@dataclasses.dataclass(frozen=True)
class Seen:
    """One object of a clip."""

    kind: str  # of names.SHAPES or names.THINGS
    colour: str | None  # of names.COLOURS
    role: str  # "actor" or "companion"
    boxes: tuple[Box | None, ...]  # per frame, pixels x0, y0, x1, y1; None while it cannot be seen


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happens from frame `start` up to, not including, `end`."""

    name: str
    type: str  # "action", "story" or "weather"
    start: int
    end: int
    actor: int | None = None  # index of the object
    companion: int | None = None


@dataclasses.dataclass(frozen=True)
class Truth:
    """Everything there is to know about one clip."""

    id: str
    split: str
    video: str  # path of the clip, relative to the world's folder
    frames: int
    frame_rate: float
    size: tuple[int, int]  # width, height
    scenes: tuple[Event, ...]  # type "scene"
    objects: tuple[Seen, ...]
    events: tuple[Event, ...]
    caption: str  # complete and correct

    def scene_at(self, frame: int) -> str:
        """The scene of a frame."""
        return next(part.name for part in self.scenes if part.start <= frame < part.end)

    def keyframe_labels(self, frame: int) -> tuple[str, ...]:
        """What can be seen in one frame: of `names.KEYFRAME_LABELS`, in that order."""
        found = {self.scene_at(frame)}
        for item in self.objects:
            if item.boxes[frame] is not None:
                found |= {item.kind, *([item.colour] if item.colour else [])}
        return tuple(label for label in names.KEYFRAME_LABELS if label in found)

    def action_labels(self, first: int = 0, last: int | None = None) -> tuple[str, ...]:
        """The actions seen between two frames (inclusive): of `names.ACTIONS`, in that order."""
        end = self.frames - 1 if last is None else last
        seen = [event for event in self.events if event.type == "action" and event.start <= end and event.end > first]
        found = {event.name for event in seen}
        return tuple(label for label in names.ACTIONS if label in found)


def load_truth(folder: str | os.PathLike[str]) -> list[Truth]:
    """Reads the truth of a rendered world.

    Args:
        folder: what `make_world` wrote.

    Raises:
        AnnotationError: no `truth.jsonl`, or lines that are no truth.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise AnnotationError("there is no truth of a world", where=path, remedy="`glrg world --out DIR` makes one")
    clips = []
    for number, row in documents.read_json_lines(path, error=AnnotationError):
        try:
            clips.append(from_row(row))
        except (KeyError, TypeError, ValueError) as error:
            what = f"not the truth of a clip ({type(error).__name__}: {error})"
            raise AnnotationError(what, where=f"{path}: line {number}", remedy="render the world again") from None
    return clips


def to_row(truth: Truth) -> dict[str, Any]:
    """The line of `truth.jsonl`."""
    return {
        "id": truth.id,
        "split": truth.split,
        "video": truth.video,
        "frames": truth.frames,
        "frame_rate": truth.frame_rate,
        "size": list(truth.size),
        "scenes": [{"scene": part.name, "start": part.start, "end": part.end} for part in truth.scenes],
        "objects": [dataclasses.asdict(item) for item in truth.objects],
        "events": [dataclasses.asdict(event) for event in truth.events],
        "actions": list(truth.action_labels()),
        "classes": sorted({item.kind for item in truth.objects}),
        "caption": truth.caption,
    }


def from_row(row: dict[str, Any]) -> Truth:
    """The truth of a line of `truth.jsonl`.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of a wrong type.
    """
    width, height = (int(side) for side in row["size"])
    return Truth(
        str(row["id"]),
        str(row["split"]),
        str(row["video"]),
        int(row["frames"]),
        float(row["frame_rate"]),
        (width, height),
        tuple(Event(str(part["scene"]), "scene", int(part["start"]), int(part["end"])) for part in row["scenes"]),
        tuple(Seen(item["kind"], item["colour"], item["role"], _boxes(item["boxes"])) for item in row["objects"]),
        tuple(Event(**event) for event in row["events"]),
        str(row["caption"]),
    )


def _boxes(rows: list[Any]) -> tuple[Box | None, ...]:
    found: list[Box | None] = []
    for row in rows:
        if row is None:
            found.append(None)
            continue
        left, top, right, bottom = (float(value) for value in row)
        found.append((left, top, right, bottom))
    return tuple(found)
