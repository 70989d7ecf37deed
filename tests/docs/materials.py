"""Files of others that the pages speak of, made up and small: annotations, features, weights, a classifier."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys

import h5py
import keras
import numpy as np

from glrg_tf.data.dataset import CaptionDataset, write_dataset
from glrg_tf.data.levels import LevelTexts
from tests.data import made
from tests.docs import pages
from tests.encoders.made_backbones import state
from tests.io.torch_files import write_zip
from tests.recap.made_recap import make_dataset

EVENT_VIDEOS = ("v_QOlSCBRmfWY", "v_BNZf90PLJ0", "v_j3QSVhAhDc", "v_made_up_one", "v_made_up_two")


def write(desk: pathlib.Path) -> None:
    """Writes all of them into `desk`, in the places the pages name."""
    rng = np.random.default_rng(0)
    _events(desk, rng)
    made.write_json(desk / "hirest_all_data_train.json", made.HIREST)
    made.write_json(desk / "hirest_all_data_val.json", {"Make Soup": {"b.mp4": made.HIREST["Make  Tea"]["a.mp4"]}})
    made.write_json(desk / "yc2_annotations_trainval.json", made.YOUCOOK)
    made.write_json(desk / "Ego4D_HCap" / "videos_train.json", [made.SUMMARY])
    with h5py.File(desk / "msvd_test_sem_tag_res.h5", "w") as file:
        file["feats"] = rng.random((670, 1300), np.float32)
    np.save(desk / "features.npy", rng.random((2, 1700), np.float32))
    rng.random((2, 1700), np.float32).tofile(desk / "features.f32")
    made.write_json(desk / "features.json", rng.random((8, 1700)).tolist())
    splits = {"train": ["video0", "video1"], "val": ["video2", "video7"], "test": ["video8", "video9"]}
    made.write_json(desk / "benchmarks" / "splits" / "msrvtt_sample.json", splits)


def _events(desk: pathlib.Path, rng: np.random.Generator) -> None:
    """i3d/NAME_rgb.npy and _flow.npy, and ActivityNet's annotations of these videos."""
    (desk / "i3d").mkdir()
    events = {"duration": 30.0, "timestamps": [[0.5, 9.0], [9.0, 28.0]], "sentences": ["A man runs.", " He stops."]}
    for name in EVENT_VIDEOS:
        topics = np.repeat(rng.normal(size=(4, 1024)), 3, axis=0)
        for kind in ("rgb", "flow"):
            noise = rng.normal(0, 0.3, topics.shape)
            np.save(desk / "i3d" / f"{name}_{kind}.npy", (topics + noise).astype(np.float32))
    for file, names in (("train", EVENT_VIDEOS[:3]), ("val_1", EVENT_VIDEOS[3:]), ("val_2", EVENT_VIDEOS[3:])):
        made.write_json(desk / f"{file}.json", dict.fromkeys(names, events))
    for part in ("1", "2"):
        made.write_json(desk / f"anet_captions_val_{part}.json", dict.fromkeys(EVENT_VIDEOS[3:], events))


def resnet18(desk: pathlib.Path) -> None:
    """A file of 45 MB with random numbers, as PyTorch writes it."""
    write_zip(desk / "resnet18.pth", state("resnet18"))


def classifier(desk: pathlib.Path) -> None:
    """mobilenet_v2_1.0_224_quant.tflite with its labels: any network of such a shape, here not quantised."""
    import tensorflow as tf

    keras.utils.set_random_seed(5)
    pixels = keras.Input((224, 224, 3), batch_size=1)
    maps = keras.layers.AveragePooling2D(56)(pixels)
    classes = keras.layers.Dense(1001, activation="softmax")(keras.layers.Flatten()(maps))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(pixels, classes))
    (desk / "mobilenet_v2_1.0_224_quant.tflite").write_bytes(converter.convert())
    (desk / "imagenet_labels.txt").write_text("\n".join(["background", *(f"thing {i}" for i in range(1000))]) + "\n")


def programs(folder: pathlib.Path) -> None:
    """Programs for the shell: `glrg` made small like the page's other commands; a cluster of two nodes, both here."""
    folder.mkdir()
    small = f"exec {sys.executable} -m tests.docs.small_glrg"
    tasks = 'SLURM_PROCID=1 "$@" & SLURM_PROCID=0 "$@" && wait $!'
    words = {"glrg": small + ' "$@"', "srun": tasks, "scontrol": "echo localhost; echo localhost"}
    for name, line in words.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        (folder / name).chmod(0o755)


def environment(folder: pathlib.Path) -> dict[str, str]:
    """The variables of a shell at the desk in `folder`."""
    found = [str(folder.parent / "bin"), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]
    extra = {"PYTHONPATH": str(pages.ROOT), "HOME": str(folder), "SLURM_JOB_NODELIST": "localhost"}
    return {**os.environ, **extra, "PATH": os.pathsep.join(found)}


def partly(desk: pathlib.Path) -> None:
    """data/partly: long videos of which the first has texts of clips alone."""
    make_dataset(desk / "data" / "partly-source")
    records = CaptionDataset.load(desk / "data" / "partly-source" / "data").records()
    levels = LevelTexts.from_json(records[0].levels, "")
    poor = dataclasses.replace(records[0], levels=LevelTexts(levels.clip, duration=levels.duration).to_json())
    write_dataset(desk / "data" / "partly", [poor, *records[1:]], name="partly", source=["made"])


if __name__ == "__main__":  # the large ones, for the pages that want them
    {"resnet18": resnet18, "classifier": classifier, "partly": partly}[sys.argv[1]](pathlib.Path.cwd())
