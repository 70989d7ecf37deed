"""An hour of video beside six minutes: memory, time a minute, and the same bytes after being killed three times.

    python -m benchmarks.long_video timing --captioner world-nano --folder runs/long-video
    python -m benchmarks.long_video kills  --captioner world-nano --folder runs/long-video

`timing` renders the two stories (320x240, 12 frames a second) if they are not there, runs `glrg recap run` on each in
a process of its own, and writes `timing.json`. `kills` runs the hour again, is killed with SIGKILL at three random
points, goes on each time, and compares every file with that of the undisturbed run; it writes `kills.json`.

Time a minute leaves out what both runs pay once (imports, the captioner, the first group of clips, the first segment,
the summary: networks are made ready for them); the whole time stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine

MINUTES = (6, 60)
_TEXTS = ("recap.json", "recap.md", "recap.html", "chapters.vtt", "chapters.srt", "clips.vtt", "clips.srt")
_JOURNAL = ("clips.jsonl", "rows.f32", "thumbs.bin", "texts.jsonl")
_POLL = 0.2  # seconds


def main(words: list[str] | None = None) -> int:
    """Runs the chosen part and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("timing", "kills"))
    parser.add_argument("--captioner", default="world-nano")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1, help="of the points where it is killed")
    parser.add_argument("--points", type=int, default=3, help="how often it is killed")
    args = parser.parse_args(words)
    args.folder.mkdir(parents=True, exist_ok=True)
    result = timing(args) if args.part == "timing" else kills(args)
    (args.folder / f"{args.part}.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0 if result["good"] else 1


def timing(args: argparse.Namespace) -> dict[str, Any]:
    """Both lengths, one after the other."""
    rows = [
        run_once(args.captioner, story(args.folder, minutes), fresh(args.folder / f"out{minutes}"))
        for minutes in MINUTES
    ]
    short, long = rows
    ratios = {name: long[name] / short[name] for name in ("peak_mb", "seconds_a_minute")}
    lines = [f"{'':28s}" + "".join(f"{minutes:>9d} min" for minutes in MINUTES)]
    for name in ("clips", "peak_mb", "seconds_a_minute", "start_seconds", "seconds"):
        lines.append(f"{name:28s}" + "".join(f"{row[name]:13.2f}" for row in rows))
    lines += [f"{name} of the hour against the short one: {ratio:.3f}" for name, ratio in ratios.items()]
    tenths = ", ".join(f"{value:.2f}" for value in long["tenths"])
    lines.append(f"seconds a minute in each tenth of the hour: {tenths}")
    say("\n".join(lines))
    good = ratios["peak_mb"] <= 1.1 and abs(ratios["seconds_a_minute"] - 1) <= 0.1
    return {"machine": machine.describe(), "captioner": args.captioner, "runs": rows, "ratios": ratios, "good": good}


def kills(args: argparse.Namespace) -> dict[str, Any]:
    """The hour again, killed and resumed."""
    video, whole = story(args.folder, MINUTES[1]), args.folder / f"out{MINUTES[1]}"
    if not (whole / "recap.json").exists():
        run_once(args.captioner, video, fresh(whole))
    out = fresh(args.folder / "killed")
    total = lines_of(whole)
    chance = np.random.default_rng(args.seed)
    points = sorted(chance.integers(1, total, args.points).tolist())
    rows = []
    for point in points:
        child = start(args.captioner, video, out)
        while child.poll() is None and lines_of(out) < point:
            time.sleep(_POLL)
        time.sleep(chance.uniform(0.0, 1.0))
        before = lines_of(out)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        rows.append({"point": point, "killed": child.returncode == -signal.SIGKILL, "finished": before})
        say(f"killed at clip {before} of {total}")
    last = json.loads(start(args.captioner, video, out).communicate()[0])
    kept = rows[-1]["finished"]
    same = {name: (out / name).read_bytes() == (whole / name).read_bytes() for name in _TEXTS}
    for name in (name for name in _JOURNAL if (whole / "journal" / name).exists()):
        same[name] = (out / "journal" / name).read_bytes() == (whole / "journal" / name).read_bytes()
    redone = last["told"]["clip"] - (total - kept)
    say(f"the last run saw {last['told']['clip']} clips, {redone} of them again; same bytes: {same}")
    good = all(same.values()) and all(row["killed"] for row in rows)
    return {"captioner": args.captioner, "clips": total, "kills": rows, "redone": redone, "same": same, "good": good}


def run_once(captioner: str, video: Path, out: Path) -> dict[str, Any]:
    """One undisturbed run: its peak memory and how its time divides."""
    began = time.monotonic()
    child = start(captioner, video, out)
    samples = [(0.0, 0)]
    while True:
        done, status, usage = os.wait4(child.pid, os.WNOHANG)
        if done:
            break
        samples.append((time.monotonic() - began, lines_of(out)))
        time.sleep(_POLL)
    seconds = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode or child.stdout is None:
        raise SystemExit(f"the run on {video} ended with {child.returncode}")
    report = json.loads(child.stdout.read())
    clips, minutes = report["clips"], report["duration"] / 60
    spent = report["seconds"]
    # There is one summary whatever the length, and its network is made ready for it: it counts to the start.
    steady = spent["clip"] - spent["first"] + spent["segment"] - spent.get("first segment", 0.0)
    return {
        "minutes": minutes,
        "clips": clips,
        "peak_mb": usage.ru_maxrss / 1024,
        "seconds": seconds,
        "start_seconds": seconds - steady,
        "seconds_a_minute": steady / (minutes * (1 - report["group"] / clips)),
        "levels": spent,
        "tenths": tenths(samples, clips, minutes),
    }


def tenths(samples: list[tuple[float, int]], clips: int, minutes: float) -> list[float]:
    """Seconds for a minute of video within each tenth of the clips."""
    times = [
        next((when for when, count in samples if count >= clips * part / 10), samples[-1][0]) for part in range(11)
    ]
    times[0] = max((when for when, count in samples if count == 0), default=0.0)
    return [(b - a) / (minutes / 10) for a, b in zip(times, times[1:], strict=False)]


def start(captioner: str, video: Path, out: Path) -> subprocess.Popen[bytes]:
    """`glrg recap run` in a process of its own."""
    words = ["recap", "run", captioner, str(video), "--out", str(out), "--json", "--quiet"]
    return subprocess.Popen(
        [sys.executable, "-m", "glrg_cli", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def story(folder: Path, minutes: int) -> Path:
    """The rendered story of so many minutes."""
    target = folder / f"story{minutes}"
    if not target.exists():
        words = ["world", "--out", str(target), "--stories", "1", "--minutes", str(minutes), "--size", "320x240"]
        subprocess.run([sys.executable, "-m", "glrg_cli", *words, "--seed", "5", "--quiet"], check=True)
    return target / "videos" / "story0000.mp4"


def lines_of(out: Path) -> int:
    """Clips in the journal."""
    path = out / "journal" / "clips.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def fresh(folder: Path) -> Path:
    """A folder that does not exist."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def say(text: str) -> None:
    """Prints lines of the table."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
