"""Weights of torchvision: every tensor in its place, the file's own checks, downloads, and everything else refused."""

from __future__ import annotations

import hashlib
import json
import shutil

import h5py
import numpy as np
import pytest

from glrg_cli.main import main
from glrg_tf.convert.torchvision_backbones import convert_torchvision, key_table
from glrg_tf.encoders import weights as public
from glrg_tf.encoders.backbones import weights_file
from glrg_tf.encoders.backbones.architectures import ARCHITECTURES
from glrg_tf.encoders.backbones.load import load_backbone
from glrg_tf.encoders.backbones.resnet import stage_model
from glrg_tf.encoders.backbones.weights_file import read_origin, read_weights
from glrg_tf.errors import CheckpointError, ConfigError
from tests.encoders import plain_resnet
from tests.encoders.made_backbones import TINY, normal, state
from tests.io.gadgets import pickles
from tests.io.torch_files import Raw, write_legacy, write_zip

ARCH = "tiny_resnext"


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    for name, entry in TINY.items():
        monkeypatch.setitem(ARCHITECTURES, name, entry)


def write(folder, tensors=None, writer=write_zip, name="weights.pth"):
    writer(folder / name, state(ARCH) if tensors is None else tensors)
    return folder / name


def convert(folder, **options):
    return convert_torchvision(write(folder, **options), ARCH, folder / "out.h5")


# === What is converted ===


@pytest.mark.parametrize("writer", [write_zip, write_legacy])
def test_a_file_becomes_a_model(tmp_path, writer):
    """From PyTorch's file to the maps of a plain network that reads PyTorch's tensors."""
    tensors, x = state(ARCH), normal("input", (1, 3, 37, 34))
    origin, reports = convert(tmp_path, writer=writer)
    model = stage_model(load_backbone(ARCH, tmp_path / "out.h5"), ["maxpool", "layer1", "layer2", "fc"])
    found = model(np.moveaxis(x, 1, -1), training=False)
    wanted = plain_resnet.forward(tensors, x, stem_stride=(2, 2), groups=4, pool=True)
    for name, value in found.items():
        np.testing.assert_allclose(np.moveaxis(value, -1, 1), wanted[name], rtol=1e-4, atol=1e-4, err_msg=name)
    assert [report.source for report in reports] == list(tensors)
    assert reports[0].minimum == pytest.approx(float(tensors["conv1.weight"].min()))
    assert origin.source == "weights.pth" and origin.classes == 7 and origin.labels == "nothing"
    assert origin.source_sha256 == hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    assert read_origin(tmp_path / "out.h5") == origin


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_key_goes_to_one_weight(arch):
    table = key_table(arch)
    assert len({row.source for row in table}) == len({row.target for row in table}) == len(table)
    for row in table:
        assert np.prod(row.source_shape) == np.prod(row.target_shape)
        assert (row.how == "as is") == (len(row.source_shape) == 1)


def test_keys_are_torchvisions():
    keys = {row.source: row.source_shape for row in key_table("resnext101_32x8d")}
    assert keys["layer3.22.conv2.weight"] == (1024, 32, 3, 3) and keys["layer4.0.downsample.1.running_var"] == (2048,)
    keys = {row.source: row.source_shape for row in key_table("r3d_18")}
    assert keys["stem.0.weight"] == (64, 3, 3, 7, 7) and keys["layer2.0.conv1.0.weight"] == (128, 64, 3, 3, 3)


@pytest.mark.parametrize("level", [None, "state_dict", "model"])
def test_counters_levels_and_prefixes_are_left_aside(tmp_path, level):
    tensors = {f"module.{key}": value for key, value in state(ARCH).items()}
    tensors["module.bn1.num_batches_tracked"] = np.array([3], np.int64)
    _, reports = convert(tmp_path, tensors={level: tensors, "epoch": 90} if level else tensors)
    assert len(reports) == len(key_table(ARCH))


def test_other_classes_have_no_published_labels(tmp_path):
    origin, _ = convert(tmp_path, tensors=state(ARCH, classes=3))
    assert (origin.classes, origin.labels) == (3, "")
    assert load_backbone(ARCH, tmp_path / "out.h5").output_shape == (None, 3)


def test_half_precision_is_read(tmp_path):
    half = {key: value.astype(np.float16) for key, value in state(ARCH).items()}
    convert(tmp_path, tensors=half)
    _, weights = read_weights(tmp_path / "out.h5")
    np.testing.assert_array_equal(weights["fc/bias"], half["fc.bias"].astype(np.float32))


# === What is refused ===


def without(key):
    return lambda tensors: tensors.pop(key)


def changed(key, value):
    return lambda tensors: tensors.update({key: value(tensors[key]) if callable(value) else value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("layer2.1.bn3.bias"), "1 missing: layer2.1.bn3.bias"),
        (changed("layer9.weight", np.ones(3, np.float32)), "1 unexpected: layer9.weight"),
        (changed("layer1.0.conv2.weight", lambda v: v[:, :1]), r"layer1.0.conv2.weight \(8, 1, 3, 3\) instead of"),
        (changed("fc.bias", lambda v: v[:5]), "fc.weight"),
        (changed("fc.bias", "text"), "fc.bias .no tensor."),
        (changed("bn1.bias", lambda v: v.astype(np.int64)), "not real numbers"),
        (changed("bn1.bias", lambda v: v * np.nan), "not finite"),
        (changed("bn1.running_var", lambda v: -v), "below zero"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path, change, message):
    tensors = state(ARCH)
    change(tensors)
    with pytest.raises(CheckpointError, match=message):
        convert(tmp_path, tensors=tensors)
    assert not (tmp_path / "out.h5").exists()


def test_another_architecture_is_named(tmp_path):
    with pytest.raises(CheckpointError) as refusal:
        convert(tmp_path, tensors=state("tiny_r3d"))
    assert refusal.value.remedy == "the file fits --arch tiny_r3d"


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "list", "folder", "missing"])
def test_files_that_are_none(tmp_path, kind):
    path = write(tmp_path, tensors=[1, 2] if kind == "list" else None)
    if kind == "text":
        path.write_text("hello", "utf-8")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind in ("folder", "missing"):
        path.unlink()
        if kind == "folder":
            path.mkdir()
    out = tmp_path / "out.h5"
    assert main(["convert", "torchvision", str(path), "--arch", ARCH, "--out", str(out), "--quiet"]) == 5
    assert not out.exists() and not list(tmp_path.glob(".out*"))


def test_hostile_files_do_nothing(tmp_path):
    marker = tmp_path / "marker"
    hostile = [Raw(raw.removeprefix(b"\x80\x02")[:-1]) for raw in pickles(marker).values() if b"system" in raw]
    assert hostile
    for number, gadget in enumerate(hostile):
        path = write(tmp_path, {**state(ARCH), "fc.bias": gadget}, name=f"hostile{number}.pth")
        command = ["convert", "torchvision", str(path), "--arch", ARCH, "--out", str(tmp_path / "out.h5"), "--quiet"]
        assert main(command) == 5
    assert not marker.exists() and not (tmp_path / "out.h5").exists()


def test_the_digits_in_a_name_are_held_to(tmp_path):
    path = write(tmp_path, name="tiny-0123abcd.pth")
    with pytest.raises(CheckpointError, match="begins with 0123abcd"):
        convert_torchvision(path, ARCH, tmp_path / "out.h5")


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "out.h5").write_text("mine", "utf-8")
    with pytest.raises(ConfigError, match="already exists"):
        convert(tmp_path)
    assert (tmp_path / "out.h5").read_text("utf-8") == "mine"


# === Weights files ===


def damage(name):
    def change(file):
        if name == "value":
            file["stem_conv/kernel"][0, 0, 0, 0] += 1
        elif name == "nan":
            file["fc/bias"][0] = np.nan
        elif name == "format":
            file.attrs["format"] = "other"
        elif name == "classes":
            file.attrs["classes"] = -3
        elif name == "arch":
            file.attrs["arch"] = "resnet19"
        else:
            del file["fc/bias"]
            if name == "shape":
                file["fc/bias"] = np.zeros(9, np.float32)
            elif name == "huge":
                file.create_dataset("fc/bias", (2**40,), "f4", chunks=(2**20,))
            elif name == "link":
                file["fc/bias"] = h5py.ExternalLink("/etc/hosts", "/x")
            elif name == "kind":
                file["fc/bias"] = np.zeros(7, "S3")

    return change


@pytest.mark.parametrize(
    "name", ["value", "nan", "format", "classes", "arch", "missing", "shape", "huge", "link", "kind"]
)
def test_damaged_weights_files(tmp_path, name):
    convert(tmp_path)
    with h5py.File(tmp_path / "out.h5", "a") as file:
        damage(name)(file)
    with pytest.raises(CheckpointError):
        load_backbone(ARCH, tmp_path / "out.h5")


def test_weights_of_another_architecture(tmp_path):
    convert(tmp_path)
    with pytest.raises(CheckpointError, match="weights of tiny_resnext, not of tiny_r3d"):
        load_backbone("tiny_r3d", tmp_path / "out.h5")


def test_a_failed_write_leaves_nothing(tmp_path):
    def broken():
        yield "stem_conv/kernel", np.zeros(3, np.float32)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        weights_file.write_weights(tmp_path / "w.h5", broken(), weights_file.Origin(ARCH, 7))
    assert not list(tmp_path.iterdir())


# === Downloads ===


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that holds one published file, and an empty cache."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    path = write(folder)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path = path.rename(folder / f"tiny-{digits}.pth")
    entry = public.PublicWeights("tiny", ARCH, path.name, path.stat().st_size / 2**20, 0.0, "made")
    monkeypatch.setitem(public.PUBLIC_WEIGHTS, "tiny", entry)
    monkeypatch.setenv("GLRG_CACHE", str(tmp_path / "cache"))
    return folder


def test_download_then_offline(tmp_path, mirror, capsys):
    command = ["convert", "torchvision", "--download", "tiny", "--json", "--quiet", "--out"]
    assert main([*command, str(tmp_path / "a.h5"), "--from", mirror.as_uri()]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["arch"] == ARCH and len(report["tensors"]) == len(key_table(ARCH))
    shutil.rmtree(mirror)
    assert main([*command, str(tmp_path / "b.h5"), "--from", str(tmp_path)]) == 0
    assert read_origin(tmp_path / "a.h5") == read_origin(tmp_path / "b.h5")
    record = json.loads((tmp_path / "cache/torchvision/downloads.json").read_text("utf-8"))
    assert next(iter(record["files"].values()))["sha256"] == report["source_sha256"]


def test_a_download_that_is_another_file(tmp_path, mirror):
    path = next(mirror.iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match="differs from the manifest"):
        public.download_weights("tiny", source=str(mirror))
    assert not list((tmp_path / "cache/torchvision").glob("*.pth*"))
    path.unlink()
    assert (
        main(["convert", "torchvision", "--download", "tiny", "--from", str(mirror), "--out", str(tmp_path / "w.h5")])
        == 5
    )


def test_progress_of_a_download(mirror):
    moved = []
    file = public.download_weights("tiny", source=str(mirror), progress=moved.append)
    assert sum(moved) == file.stat().st_size


@pytest.mark.parametrize("name", public.PUBLIC_WEIGHTS)
def test_the_registry_is_sound(name):
    entry = public.public_weights(name)
    assert entry.arch in ARCHITECTURES and entry.file == f"{entry.arch}-{entry.sha256_prefix}.pth"
    assert len(bytes.fromhex(entry.sha256_prefix)) == 4
    parameters = sum(int(np.prod(row.source_shape)) for row in key_table(entry.arch))
    assert entry.mebibytes * 2**20 == pytest.approx(4 * parameters, rel=0.01)


# === The command ===


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["f.pth"],
        ["f.pth", "--arch", "resnet18"],
        ["f.pth", "--download", "resnet18", "--out", "w.h5"],
        ["--download", "nothing", "--out", "w.h5"],
        ["f.pth", "--arch", "resnet18", "--out", "w.h5", "--from", "."],
        ["--download", "resnet18", "--arch", "r3d_18", "--out", "w.h5"],
    ],
)
def test_bad_usage(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", "torchvision", *words]) == 2


def test_tables(capsys):
    assert main(["convert", "torchvision", "--list", "--json", "--quiet"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == set(public.PUBLIC_WEIGHTS)
    assert main(["convert", "torchvision", "--describe", "r3d_18", "--keys"]) == 0
    assert "64 x 64 x 3 x 3 x 3" in capsys.readouterr().err
    assert main(["convert", "torchvision", "--describe", "resnet18", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["parameters"] == 11_689_512 and "14 x 14 x 256" in shown.err
