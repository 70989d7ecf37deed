"""The large backbones inside the encoders, and their published weights put in place.

    2D, on each frame     ResNet-18 (long and short range), ResNeXt-101 32x8d (keyframe), or any classifier of
                          keras.applications by name
    3D, on a short clip   3D-ResNet-18

The layers of a 2D backbone of ours are named `frame_...`, those of the 3D one `clip_...`; a network of
keras.applications is one layer of its own name, takes pixels 0..255 (so such a stream has normalise="none") and keeps
its names inside.
"""

from __future__ import annotations

import os

import keras
import numpy as np
import tensorflow as tf

from glrg_tf.encoders.backbones.architectures import ARCHITECTURES
from glrg_tf.encoders.backbones.resnet import resnet_maps
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.errors import CheckpointError

FRAME_BACKBONES = {"long_range": "resnet18", "short_range": "resnet18", "keyframe": "resnext101_32x8d"}
CLIP_BACKBONE = "r3d_18"
_FRAME, _CLIP = "frame_", "clip_"


def frame_backbone(spec: StreamSpec) -> str:
    """Name of the 2D network of a stream."""
    return spec.backbone or FRAME_BACKBONES[spec.kind]


def takes_pixels(spec: StreamSpec) -> bool:
    """Whether the 2D network wants pixels 0..255 because it normalises them itself (those of keras.applications)."""
    return frame_backbone(spec) not in ARCHITECTURES


def frame_map(x: keras.KerasTensor, spec: StreamSpec) -> keras.KerasTensor:
    """The last map of the 2D network: normalised frames (N, h, w, 3) -> (N, h', w', C)."""
    name = frame_backbone(spec)
    if name in ARCHITECTURES:
        return resnet_maps(x, ARCHITECTURES[name].config, prefix=_FRAME)["layer4"]
    from glrg_tf.encoders.backbones.applications import applications_backbone

    return applications_backbone(name, spec.input_size, None)(x)


def clip_features(x: keras.KerasTensor) -> keras.KerasTensor:
    """The 3D network with its pooling: normalised clips (N, k, h, w, 3) -> (N, 512)."""
    last = resnet_maps(x, ARCHITECTURES[CLIP_BACKBONE].config, prefix=_CLIP)["layer4"]
    return keras.ops.mean(last, axis=(1, 2, 3))


def put_weights(model: keras.Model, spec: StreamSpec, file: str | os.PathLike[str]) -> str:
    """Puts published weights where they belong in an encoder.

    The last layer is taken too where it fits: a keyframe encoder of 1000 classes then *is* the published classifier,
    and a short-range encoder of 400 actions begins as the published 3D-ResNet-18 (the weights of the 2D half of its
    last layer are zero until it is trained).

    Args:
        model: an encoder of the paper preset.
        spec: its settings.
        file: a file of `glrg convert torchvision` for the 2D or the 3D network (call twice for both); for a network of
            keras.applications "imagenet" (Keras downloads them) or a file that Keras saved, without the last layer.

    Returns:
        What was put where, for people.

    Raises:
        CheckpointError: the file is damaged, or the encoder has no such network.
    """
    from glrg_tf.encoders.backbones.load import assign_weights
    from glrg_tf.encoders.backbones.weights_file import read_weights

    if spec.backbone and spec.backbone not in ARCHITECTURES:
        return _put_application_weights(model, spec, file)
    origin, weights = read_weights(file)
    layers = {layer.name for layer in model.layers}
    prefix = _CLIP if origin.arch == CLIP_BACKBONE else _FRAME
    mine = CLIP_BACKBONE if prefix == _CLIP else frame_backbone(spec)
    if origin.arch != mine or f"{prefix}stem_conv" not in layers:
        networks = [frame_backbone(spec), *([CLIP_BACKBONE] if f"{_CLIP}stem_conv" in layers else [])]
        raise CheckpointError(
            f"weights of {origin.arch} for a '{spec.kind}' encoder",
            where=file,
            remedy="it is made of " + " and ".join(networks),
        )
    assign_weights(model, weights, prefix=prefix)
    kernel, bias = weights["fc/kernel"], weights["fc/bias"]
    head = model.get_layer("head")
    whole = spec.kind == "keyframe" or prefix == _CLIP
    if not whole or kernel.shape[1] != spec.width:
        return f"{origin.arch} ({origin.source}); the last layer is new"
    full = np.zeros(head.kernel.shape, np.float32)
    full[len(full) - len(kernel) :] = kernel  # in a short-range encoder the 3D features come last
    head.kernel.assign(full)
    head.bias.assign(bias)
    return f"{origin.arch} ({origin.source}) with its last layer"


def _put_application_weights(model: keras.Model, spec: StreamSpec, file: str | os.PathLike[str]) -> str:
    from glrg_tf.encoders.backbones.applications import IMAGENET_CLASSES, applications_backbone

    name = f"{spec.backbone} ({os.fspath(file)})"
    if spec.kind == "keyframe" and spec.width == IMAGENET_CLASSES:
        try:
            whole = applications_backbone(spec.backbone, spec.input_size, IMAGENET_CLASSES, file)
        except CheckpointError:  # a file without the last layer
            whole = None
        if whole is not None and _take_classifier(model, whole, spec):
            return f"{name} with its last layer"
    trained = applications_backbone(spec.backbone, spec.input_size, None, file)
    _network_of(model, trained.name).set_weights(_network_of(trained, trained.name).get_weights())
    return f"{name}; the last layer is new"


def _take_classifier(model: keras.Model, whole: keras.Model, spec: StreamSpec) -> bool:
    """Copies a classifier whose last layer reads the mean of its last map, as most do; whether that was so is tried."""
    source = next(layer for layer in whole.layers if isinstance(layer, keras.Model))
    network, head = _network_of(model, spec.backbone.lower()), model.get_layer("head")
    inner = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    mine, theirs = ([layer for layer in net.layers if layer.weights] for net in (inner, source))
    for layer, other in zip(mine, theirs, strict=False):  # by place: some networks number their layers anew each time
        layer.set_weights(other.get_weights())
    last = [layer for layer in source.layers if isinstance(layer, keras.layers.Dense)]
    if not last or [tuple(w.shape) for w in last[-1].weights] != [tuple(w.shape) for w in head.weights]:
        return False
    new, probe = head.get_weights(), np.random.default_rng(0).integers(0, 256, (1, 1, *spec.input_size, 3))
    head.set_weights(last[-1].get_weights())
    clip = probe.astype(np.float32)
    found = tf.nn.softmax(keras.Model(model.input, model.get_layer("logits").output)(clip, training=False))
    if np.allclose(found, whole(clip[:, 0], training=False), atol=1e-4):
        return True
    head.set_weights(new)
    return False


def _network_of(model: keras.Model, name: str) -> keras.Model:
    """The layer that is a network of keras.applications, or `model` itself when it is that."""
    return next((layer for layer in model.layers if layer.name == name), model)
