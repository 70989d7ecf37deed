"""Which facts the texts of the recursion study get right: who, where, what, in which order.

    python -m benchmarks.recap_facts --work runs/recap-world runs/recap-world/study/{both,video,text}-1

Level 1 is read from the clips' predictions that all settings of a seed share.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recap_world import story
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.world import phrases
from glrg_tf.data.world.stories import Story
from glrg_tf.data.world.story_text import named

_VERBS = {
    "search": ("looks behind", "searches"),
    "work": ("pushes", "works"),
    "play": ("plays", "dances"),
    "travel": ("travels", "wanders"),
    "fight": ("fights", "runs into"),
}
_PLACES = {scene: words[0] for scene, words in phrases.PLACE.items()}


def main() -> None:
    """Prints a line a captioner."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captioners", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    for folder in args.captioners:
        found = facts(folder, args.work)
        print(f"{folder.name}: " + ", ".join(f"{name} {100 * share:.0f}" for name, share in found.items()), flush=True)


def facts(folder: Path, work: Path) -> dict[str, float]:
    """Share of held-out segments and summaries whose texts have a fact right."""
    from glrg_tf.recap.captioner import RecapCaptioner
    from training.recap_data import FeatureFolder, load_videos
    from training.recap_writing import read_predictions, write_level

    captioner = RecapCaptioner.load(folder)
    features = FeatureFolder(work, captioner.row_streams)
    videos = load_videos(CaptionDataset.load(work / "data"), captioner.hierarchy, features, ("test",))
    written: dict[str, Any] = {"clip": read_predictions(folder / "predictions" / "start" / "clip.jsonl")}
    for level in ("segment", "video"):
        written[level] = write_level(captioner, level, videos, written)
    rows: dict[str, list[bool]] = {}
    for video in videos:
        told = story(int(video.id.removeprefix("story")))
        for segment, text in zip(told.segments, written["segment"][video.id], strict=True):
            _note(rows, "segment", _of_segment(told, segment, text.text))
        _note(rows, "summary", _of_summary(told, written["video"][video.id][0].text))
    return {name: float(np.mean(values)) for name, values in rows.items()}


def _of_segment(told: Story, segment: Any, text: str) -> dict[str, bool]:
    act = told.acts[segment.act]
    return {
        "hero": named(told.hero) in text,
        "place": _PLACES[act.scene] in text,
        "night": (" at night" in text) == act.night,
        "task": any(verb in text for verb in _VERBS[segment.theme]),
    }


def _of_summary(told: Story, text: str) -> dict[str, bool]:
    tasks, places = _acts(text)
    return {
        "hero": named(told.hero) in text,
        "cargo": (f"carrying a {told.cargo}" in text) if told.cargo else "carrying" not in text,
        "places in order": places == [act.scene for act in told.acts],
        "tasks in order": tasks == [act.theme for act in told.acts],
    }


_TASKS = {"searches": "search", "works": "work", "plays": "play", "travels": "travel", "fights": "fight"}


def _acts(text: str) -> tuple[list[str], list[str]]:
    """The tasks that a summary tells, in order, and the place behind each ("" where there is none)."""
    tasks, places = [], []
    for match in re.finditer("|".join(_TASKS), text):
        behind = text[match.end() + 1 :]
        tasks.append(_TASKS[match[0]])
        places.append(next((scene for scene, words in _PLACES.items() if behind.startswith(words)), ""))
    return tasks, places


def _note(rows: dict[str, list[bool]], level: str, found: dict[str, bool]) -> None:
    for name, right in found.items():
        rows.setdefault(f"{level} {name}", []).append(right)


if __name__ == "__main__":
    main()
