"""Bit flips and truncations of everything that is read: refused with a named cause, or without any effect.

    python -m tests.faults.mutations --flips 1000 --cuts 100

Ends with 1 and a list when a mutation crashed, changed what is read, took long, or left files behind.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from glrg_tf.errors import GlrgError
from tests.faults.subjects import Subject, make_subjects

CORPUS = Path(__file__).with_name("corpus.json")  # mutations that are always tried; those that found a bug among them
SLOW = 20.0  # seconds


class Mutation(NamedTuple):
    """One damage: bit `at` of the file flipped, or the file cut to `at` bytes."""

    subject: str
    file: str
    kind: str  # "flip" or "cut"
    at: int


def random_mutations(subjects: dict[str, Subject], flips: int, cuts: int, seed: int) -> list[Mutation]:
    """Mutations spread evenly over the subjects and their files."""
    rng = random.Random(seed)
    files = {
        name: sorted(str(file.relative_to(subject.folder)) for file in subject.folder.rglob("*") if file.is_file())
        for name, subject in subjects.items()
    }
    found = []
    for number in range(flips + cuts):
        name = rng.choice(sorted(subjects))
        file = rng.choice(files[name])
        size = (subjects[name].folder / file).stat().st_size
        kind, count = ("flip", 8 * size) if number < flips else ("cut", size)
        if count:
            found.append(Mutation(name, file, kind, rng.randrange(count)))
    return found


def corpus() -> list[Mutation]:
    """The kept mutations."""
    return [Mutation(*entry) for entry in json.loads(CORPUS.read_text("utf-8"))]


def try_mutation(mutation: Mutation, subject: Subject, whole: str, scratch: Path) -> tuple[str, str]:
    """Applies a mutation to a copy and reads it.

    Returns:
        "refused", "harmless" or "WRONG", and why.
    """
    place = scratch / "copy"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(subject.folder, place)
    file = place / mutation.file
    data = bytearray(file.read_bytes())
    if mutation.kind == "flip":
        at = mutation.at % (8 * len(data))
        data[at // 8] ^= 1 << at % 8
    else:
        del data[mutation.at % len(data) :]
    file.write_bytes(data)
    before, started = listing(place), time.monotonic()
    try:
        outcome = ("harmless", "") if subject.observe(place) == whole else ("WRONG", "other content, not noticed")
    except GlrgError as error:
        outcome = ("refused", error.what) if error.what and error.where else ("WRONG", f"no cause or place: {error}")
    except Exception as error:
        outcome = ("WRONG", f"{type(error).__name__}: {error}"[:300])
    if time.monotonic() - started > SLOW:
        outcome = ("WRONG", "took too long")
    return ("WRONG", "files came or went") if listing(place) != before else outcome


def listing(folder: Path) -> list[tuple[str, int]]:
    """Files with their sizes."""
    return sorted((str(file), file.stat().st_size) for file in folder.rglob("*") if file.is_file())


def run_all(flips: int, cuts: int, seed: int) -> tuple[Counter[tuple[str, str, str]], list[str]]:
    """Tries the corpus and random mutations; outcomes by (subject, kind, outcome), and what went wrong."""
    counts: Counter[tuple[str, str, str]] = Counter()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        subjects = make_subjects(Path(folder) / "whole")
        wholes = {name: subject.observe(subject.folder) for name, subject in subjects.items()}
        for mutation in [*corpus(), *random_mutations(subjects, flips, cuts, seed)]:
            outcome, why = try_mutation(mutation, subjects[mutation.subject], wholes[mutation.subject], Path(folder))
            counts[mutation.subject, mutation.kind, outcome] += 1
            if outcome == "WRONG":
                wrong.append(f"{json.dumps(mutation)}: {why}")
    return counts, wrong


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started = time.monotonic()
    counts, wrong = run_all(args.flips, args.cuts, args.seed)
    for key, count in sorted(counts.items()):
        print(*key, count)
    print(*wrong, sep="\n")
    print(f"{sum(counts.values())} mutations, {len(wrong)} wrong, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
