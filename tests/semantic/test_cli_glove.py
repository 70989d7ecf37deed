"""`glrg glove` as a user meets it."""

from __future__ import annotations

import io
import json
import pathlib
from typing import Any

import numpy as np
import pytest

from glrg_cli import main
from glrg_cli.common import Console
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.errors import GlrgError


def glrg(*words: object) -> Any:
    """Runs one command; returns its JSON document."""
    output = io.StringIO()
    console = Console(json_output=True, quiet=True, output=output, errors=io.StringIO())
    assert main.run_command("glove", [*map(str, words), "--json"], console) == 0
    return json.loads(output.getvalue())


def refused(*words: object) -> GlrgError:
    with pytest.raises(GlrgError) as refusal:
        main.run_command("glove", [*map(str, words)], Console(quiet=True, errors=io.StringIO()))
    return refusal.value


SMALL = ("--words", 48, "--dimensions", 32, "--epochs", 3, "--batch-rows", 500)


def test_train_embed_neighbours_plot(stacks_folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    trained = glrg("train", stacks_folder, "--out", tmp_path / "glove", *SMALL, "--seed", 2, "--workers", 2)
    assert (trained["words"], trained["dimensions"], trained["training"]["seed"]) == (48, 32, 2)
    again = ("train", stacks_folder, "--codebook", tmp_path / "glove", "--window", 9, "--compat", "reference")
    second = glrg(*again, "--out", tmp_path / "second", "--epochs", 2, "--unseen", 0.1)
    assert second["settings"]["unseen"] == 0.1
    assert second["codebook"] == trained["codebook"]
    assert second["settings"]["compat"] == "reference"
    made = glrg("embed", tmp_path / "glove", stacks_folder, "--out", tmp_path / "out", "--concatenate", "both")
    assert made["clips"] == trained["training"]["clips"]
    assert np.load(tmp_path / "out/concatenated/v000_flow.npy").shape[1] == 24 + 32
    glrg("embed", tmp_path / "glove", stacks_folder, "--out", tmp_path / "f.h5", "--pooled")
    glrg("train", tmp_path / "f.h5", "--streams", "rgb", "--out", tmp_path / "of-file", *SMALL)
    words = ("embed", tmp_path / "of-file", "--features", tmp_path / "f.h5")
    glrg(*words, "--out", tmp_path / "g.h5")
    with FeatureStore(tmp_path / "g.h5") as store:
        assert store.streams == {"flow": 24, "rgb": 24, "semantic": 32}
        assert store.has_positions("semantic")
    glrg("embed", tmp_path / "of-file", "--features", tmp_path / "f.h5", "--out", tmp_path / "f.h5")  # in its place
    assert (tmp_path / "f.h5").read_bytes() == (tmp_path / "g.h5").read_bytes()
    glrg("embed", tmp_path / "glove", stacks_folder, "--out", tmp_path / "few", "--components", 5, "--smooth", 3)
    assert np.load(tmp_path / "few/embeddings/v000.npy").shape[1] == 5
    both = ("embed", tmp_path / "glove", stacks_folder, "--with", tmp_path / "second", "--components", 5)
    glrg(*both, "--out", tmp_path / "both.h5")
    with FeatureStore(tmp_path / "both.h5") as store:
        assert store.streams["semantic"] == 5
        assert " + " in store.stream_attributes["semantic"]["codebook"]
    found = glrg("neighbours", tmp_path / "glove", "v003:1", "--count", 3)
    assert len(found) == 3
    found = glrg("neighbours", tmp_path / "glove", "v003:1", stacks_folder, "--count", 3, "--other-videos")
    assert all(clip["distance"] > 0 and clip["id"] != "v003" for clip in found)
    assert len(glrg("neighbours", tmp_path / "glove", "word:4", "--count", 2)) == 2
    drawn = glrg("plot", tmp_path / "glove", "--out", tmp_path / "a.png", "--method", "pca", "--highlight", "v003")
    assert (tmp_path / "a.png").is_file() and list(drawn["videos"]) == ["v003"]


def test_refusals_say_what_to_do(
    stacks_folder: pathlib.Path, glove_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    out = ("--out", tmp_path / "out")
    cases = {
        refused("train", stacks_folder, *out, "--words", 10_000): ("--words", 2),
        refused("train", stacks_folder, "--out", glove_folder): ("another --out", 2),
        refused("train", tmp_path / "none", *out): ("check the path", 4),
        refused("train", stacks_folder, *out, "--x-max", 500): ("", 2),
        refused("embed", tmp_path, stacks_folder, *out): ("glrg glove train", 5),
        refused("train", stacks_folder, *out, "--unseen", -1): ("", 2),
        refused("embed", glove_folder, stacks_folder, *out, "--components", 99): ("1 to 32", 2),
        refused("embed", glove_folder, *out): ("--help", 2),
        refused("embed", glove_folder, stacks_folder, *out, "--pooled"): ("NAME.h5", 2),
        refused("neighbours", glove_folder, "v003"): ("ID:POSITION", 2),
        refused("neighbours", glove_folder, "nobody:3"): ("ids look like 'v000'", 2),
        refused("plot", glove_folder, "--out", tmp_path / "a.jpg"): ("NAME.png", 2),
        refused("trian"): ("", 2),
    }
    for error, (remedy, code) in cases.items():
        assert error.exit_code == code
        assert remedy in (error.remedy or "")
    assert not list(tmp_path.iterdir())


def test_events_of_a_dataset_get_the_clips_they_span(
    stacks_folder: pathlib.Path, glove_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    times = {"v001": [[0, 5.2], [5.2, 11], [11.05, 11.1]], "v002": [[3, 400]], "v900": [[0, 1]]}
    captions = {
        name: {"duration": 410, "timestamps": pairs, "sentences": [f"event {n}" for n in range(len(pairs))]}
        for name, pairs in times.items()
    }
    (tmp_path / "train.json").write_text(json.dumps(captions))
    console = Console(quiet=True, errors=io.StringIO())
    data = tmp_path / "data"
    main.run_command("data", ["import", "activitynet", str(tmp_path / "train.json"), "--out", str(data)], console)
    made = glrg("embed", glove_folder, stacks_folder, "--events", data, "--out", data / "features.h5")
    assert (made["events"], made["missing"]) == (4, ["v900_0_1"])
    dataset = CaptionDataset.load(data)
    store = dataset.features
    assert store is not None and dataset.description["streams"] == {"flow": 24, "rgb": 24, "semantic": 32}
    rgb = np.load(stacks_folder / "v001_rgb.npy")
    # clips of 2.56 s: 0 to 5.2 s are the first two, 5.2 to 11 s the third and fourth, the last event lies within one
    for event, rows in {"v001_0_5.2": (0, 2), "v001_5.2_11": (2, 4), "v001_11.05_11.1": (4, 5)}.items():
        np.testing.assert_array_equal(store.positions(event, "rgb"), rgb[slice(*rows)])
        assert store.positions(event, "semantic").shape == (rows[1] - rows[0], 32)
    whole = len(np.load(stacks_folder / "v002_rgb.npy"))
    assert len(store.positions("v002_3_400", "flow")) == whole - 1
    assert main.run_command("data", ["verify", str(data)], console) == 0


def test_interrupted_training_saves_the_best_epoch(
    stacks_folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch
) -> None:
    from glrg_cli import training_console

    def stop_soon(self: training_console.Stopper) -> bool:
        self.requested = True
        return True

    monkeypatch.setattr(training_console.Stopper, "__call__", stop_soon)
    words = ["train", str(stacks_folder), "--out", str(tmp_path / "glove"), *map(str, SMALL)]
    console = Console(quiet=True, errors=io.StringIO())
    with pytest.raises(KeyboardInterrupt):
        main.run_command("glove", words, console)
    assert "best epoch so far is saved" in (console.interrupt_note or "")
    assert len(glrg("neighbours", tmp_path / "glove", "v003:1", "--count", 3)) == 3


def test_real_stacks_of_a_clip(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = shared / "data" / "features"
    trained = glrg("train", folder, "--out", tmp_path / "glove", "--words", 4, "--epochs", 2, "--dimensions", 32)
    assert trained["width"] == 1024
    glrg("embed", tmp_path / "glove", folder, "--out", tmp_path / "out", "--concatenate", "both")
    rgb = np.load(folder / "bmt_women_long_jump_i3d_rgb.npy")
    made = np.load(tmp_path / "out/concatenated/bmt_women_long_jump_i3d_rgb.npy")
    np.testing.assert_array_equal(made[:, :1024], rgb)
    assert made.shape == (14, 1024 + 32)
