"""The desk at which the pages' commands are run: a folder with small videos, captions, datasets and captioners.

Everything is made once; every page gets a copy.
"""

from __future__ import annotations

import csv
import json
import pathlib
import shutil

from glrg_cli.main import main
from glrg_tf.data.world.make import make_world
from tests.data.made import coco, msrvtt_folder, release_features
from tests.docs import materials, pages
from tests.zoo.made_release import write_release

PRESET = pages.ROOT / "glrg_tf" / "presets" / "world-nano"
CLIPS = 10


def glrg(*words: object) -> None:
    """Runs one command quietly.

    Raises:
        RuntimeError: it failed.
    """
    code = main([*map(str, words), "--quiet"])
    if code:
        raise RuntimeError(f"preparing the desk: `glrg {' '.join(map(str, words))}` ended with {code}")


def prepare(root: pathlib.Path) -> pathlib.Path:
    """Makes the desk in `root/desk`, and `root/shared` beside it; returns the desk."""
    desk = root / "desk"
    desk.mkdir(parents=True)
    make_world(desk / "data" / "world", CLIPS, 1, lambda done: None)
    clips = sorted((desk / "data" / "world" / "videos").glob("*.mp4"))
    shutil.copytree(desk / "data" / "world" / "videos", desk / "clips")
    for name in ("clip.mp4", "new.mp4", "a.mp4", "b.mp4", "upload.mp4", "hour.mp4", "hour.mkv"):
        shutil.copy(clips[0], desk / name)
    for name in ("other.webm", "b.webm"):  # the content decides, not the name
        shutil.copy(clips[1], desk / name)
    _tables(desk)
    _release(root)
    shutil.copytree(desk / "clips", root / "shared" / "data" / "clips")
    shutil.copy(desk / "clips.json", root / "shared" / "data" / "clips")
    materials.write(desk)
    materials.programs(root / "bin")
    shutil.copytree(PRESET, desk / "runs" / "mine")
    shutil.copytree(PRESET / "encoder", desk / "runs" / "encoder")
    _dataset(desk)
    return desk


def copy(desk: pathlib.Path, folder: pathlib.Path, called: dict[str, str]) -> None:
    """Copies the desk to `folder`, and prepared things under the names a page has for them."""
    shutil.copytree(desk, folder, symlinks=True)
    for beside in ("shared", "release", "bin"):
        if not (folder.parent / beside).exists():
            shutil.copytree(desk.parent / beside, folder.parent / beside)
    for name, source in called.items():
        target = folder / name
        if (folder / source).is_file():
            shutil.copy(folder / source, target)
            continue
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(folder / source, target)


def _tables(desk: pathlib.Path) -> None:
    """captions.csv, actions.csv, classes.csv, clips.json of the clips."""
    rows = [json.loads(line) for line in (desk / "data/world/captions.jsonl").read_text("utf-8").splitlines()]
    truth = [json.loads(line) for line in (desk / "data/world/truth.jsonl").read_text("utf-8").splitlines()]
    with (desk / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "caption"])
        for row in rows:
            writer.writerows([pathlib.Path(row["video"]).name, text] for text in row["captions"][:6])
    for name, place in (("actions.csv", 0), ("classes.csv", -1)):
        with (desk / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["video", "labels", "split"])
            for number, (row, clip) in enumerate(zip(rows, truth, strict=True)):
                label = clip["events"][place]["name"] if name.startswith("actions") else f"class{number % 3}"
                writer.writerow(
                    ["clips/" + pathlib.Path(row["video"]).name, label, "val" if number % 4 == 3 else "train"]
                )
    references = [
        {"file": pathlib.Path(row["video"]).name, "caption": row["captions"][0], "human_references": row["captions"]}
        for row in rows
    ]
    (desk / "clips.json").write_text(json.dumps(references), "utf-8")
    captions = {"one": ["a red ball rolls", "a ball"], "two": ["a star falls in the snow", "a star sinks"]}
    (desk / "references.json").write_text(json.dumps(coco(captions)), "utf-8")
    said = [{"image_id": "one", "caption": "a ball rolls"}, {"image_id": "two", "caption": "a star falls"}]
    (desk / "predictions.json").write_text(json.dumps(said), "utf-8")


def _release(root: pathlib.Path) -> None:
    """../shared/data/msrvtt, its dataset and a captioner of such features; ../release, the public release in small."""
    import keras

    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.model import CaptionerModel
    from glrg_tf.captioner.presets import CaptionerConfig
    from glrg_tf.data.feature_layout import STREAMS_RELEASE
    from glrg_tf.text.vocabulary import Vocabulary

    desk = root / "desk"
    msrvtt_folder(root / "shared" / "data" / "msrvtt", test=True)
    glrg("data", "import", "msrvtt", root / "shared/data/msrvtt", "--out", desk / "data/msrvtt")
    keras.utils.set_random_seed(3)
    vocabulary = Vocabulary(("<end>", "<start>", "<unk>", "a", "man", "does", "thing", "again"))
    config = CaptionerConfig(8, STREAMS_RELEASE, pool_size=8, embedding_size=8, hidden_size=8)
    VideoCaptioner(CaptionerModel(config), vocabulary).save_to_preset(desk / "runs" / "a")
    write_release(root / "release", datasets=("msrvtt", "msvd"), stages=("XE", "DXE", "DR"))
    release_features(desk / "release.h5", ["video1", "video2"])


def _dataset(desk: pathlib.Path) -> None:
    """data/mine with the features of its clips, and features.h5."""
    mine = desk / "data" / "mine"
    glrg("data", "import", "table", desk / "captions.csv", "--videos", desk / "clips", "--out", mine)
    encoder = desk / "runs" / "encoder"
    glrg("extract", mine, "--encoder", encoder, "--out", mine / "features.h5", "--workers", 1)
    shutil.copy(mine / "features.h5", desk / "features.h5")
