"""Made captions for the metric tests: small, with repeats, and the same on every machine."""

from __future__ import annotations

import json
import pathlib
import string

import numpy as np

WORDS = ("a the man woman dog is are playing running cooking guitar piano in on with park kitchen and fast").split()  # noqa: SIM905


def made_captions(videos: int = 7, captions: int = 5, seed: int = 0) -> list[list[str]]:
    """Captions whose words cluster by video, so that n-grams are shared; a few repeat words or themselves."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(videos):
        own = rng.permutation(WORDS)[:8]
        texts = [" ".join(rng.choice(own, rng.integers(3, 11))) for _ in range(captions - 1)]
        made.append([*texts, texts[0]])
    return made


def real_captions(shared: pathlib.Path, split: str = "val") -> list[list[str]]:
    """Lower-case MSR-VTT captions without punctuation, 20 a video."""
    content = json.loads((shared / "data/msrvtt" / split / "videodatainfo.json").read_text("utf-8"))
    captions: dict[str, list[str]] = {}
    table = str.maketrans("", "", string.punctuation)
    for sentence in content["sentences"]:
        captions.setdefault(sentence["video_id"], []).append(sentence["caption"].lower().translate(table))
    return list(captions.values())


def as_ids(captions: list[list[str]]) -> list[list[list[int]]]:
    """Captions as word ids from 3 on, in order of appearance."""
    ids: dict[str, int] = {}
    return [[[ids.setdefault(word, len(ids) + 3) for word in text.split()] for text in texts] for texts in captions]


def disturbed(references: list[list[list[int]]], rows: np.ndarray, length: int, seed: int = 1) -> np.ndarray:
    """Token ids (N, length) made from the references: foreign, shuffled, cut, repeated, empty and <unk> captions."""
    rng = np.random.default_rng(seed)
    known = np.unique(np.concatenate([np.array(c, int) for v in references for c in v]))
    token_ids = np.zeros((len(rows), length), np.int32)
    for number, row in enumerate(rows):
        source = references[row if rng.random() < 0.6 else rng.integers(len(references))]
        words = list(source[rng.integers(len(source))])
        kind = rng.integers(7)
        if kind == 0:
            rng.shuffle(words)
        elif kind == 1:
            words = words[: rng.integers(0, 4)]
        elif kind == 2:
            words = words[:3] * 20
        elif kind == 3:
            words = [2] * int(rng.integers(0, length + 1))
        elif kind == 4:
            words = list(rng.choice(known, rng.integers(0, length)))
        elif kind == 5 and words:
            words.insert(int(rng.integers(len(words))), 1)
        token_ids[number, : len(words[:length])] = words[:length]
        if kind == 6 and len(words) + 3 < length:  # what follows the end does not count
            token_ids[number, len(words) + 1 :] = 5
    return token_ids
