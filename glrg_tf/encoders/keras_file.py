"""A user's own `.keras` file as part of a graph, loaded so that nothing in it can run code or reach other files.

Refused before Keras sees the file: classes of modules other than Keras', layers that carry code (Lambda) or load
further files, archives that unpack to more than they should, and weight files with links out of themselves.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from glrg_tf.encoders.classifier_files import MAX_FILE, read_file
from glrg_tf.errors import CheckpointError

_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "TFOpLambda", "SlicingOpLambda")
_MAX_CONFIG = 64 * 2**20  # bytes


def load_keras_file(path: Path) -> keras.Model:
    """The model of a `.keras` file.

    Raises:
        CheckpointError: no Keras archive, code or foreign classes in it, or Keras cannot build it.
    """
    content = read_file(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_archive(archive, path)
            config = json.loads(archive.read("config.json"))
            weights = archive.read("model.weights.h5")
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, NotImplementedError) as error:
        what = f"not a whole .keras archive ({error})"[:200]
        raise CheckpointError(what, where=path, remedy="save it again with model.save('name.keras')") from error
    _check_classes(config, path)
    _check_weights(weights, path)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever the layer at fault raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(f"Keras cannot load the file ({reason})", where=path, remedy="save it again") from error
    if not isinstance(model, keras.Model):
        raise CheckpointError("the file holds no model", where=path, remedy="save a whole model")
    return model


def _check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    for name in _MEMBERS[:1] + _MEMBERS[2:]:
        if name not in sizes:
            raise CheckpointError(f"the archive has no {name}", where=path, remedy="save it with Keras 3 as .keras")
    if sum(sizes.values()) > MAX_FILE or sizes["config.json"] > _MAX_CONFIG:
        raise CheckpointError(f"the archive unpacks to {sum(sizes.values())} bytes", where=path, remedy="wrong file?")


def _check_classes(config: Any, path: Path) -> None:
    for entry in _entries(config):
        name, module = entry.get("class_name"), entry.get("module")
        if not isinstance(name, str):
            continue
        foreign = isinstance(module, str) and module not in ("builtins",) and module.split(".")[0] != "keras"
        registered = entry.get("registered_name")
        custom = isinstance(registered, str) and ">" in registered
        if name in _CODE or foreign or custom or name == "__lambda__":
            raise CheckpointError(
                f"the model contains '{module or ''}.{name}', which may run code",
                where=path,
                remedy="rebuild it from Keras' own layers, or export it to ONNX",
            )


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _check_weights(content: bytes, path: Path) -> None:
    """Refuses links and data sets that read other files."""

    def visit(group: h5py.Group, depth: int) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink) or depth > 64:
                raise CheckpointError("the weights hold links", where=f"{path}: {name}", remedy="save the model again")
            node = group[name]
            if isinstance(node, h5py.Group):
                visit(node, depth + 1)
            elif node.is_virtual or node.external:
                raise CheckpointError("the weights lie in other files", where=f"{path}: {name}", remedy="save it again")

    try:
        with h5py.File(io.BytesIO(content), "r") as handle:
            visit(handle, 0)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(f"the weights cannot be read ({error})"[:200], where=path) from error
