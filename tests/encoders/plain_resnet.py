"""A residual network from a PyTorch state dictionary in plain NumPy, PyTorch's layout and padding; slow and short."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np


def convolve(x: np.ndarray, weight: np.ndarray, stride: tuple[int, ...], groups: int) -> np.ndarray:
    """`x` (N, C, ...) with `weight` (O, C / groups, ...), padded by half a kernel on every side with zeros."""
    kernel = weight.shape[2:]
    x = np.pad(x, [(0, 0), (0, 0), *((k // 2, k // 2) for k in kernel)])
    sides = [(size - k) // s + 1 for size, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    result = np.zeros((len(x), weight.shape[0], *sides))
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        part = x[:, group * inputs : (group + 1) * inputs]
        for offset in itertools.product(*map(range, kernel)):
            window = [slice(o, o + (n - 1) * s + 1, s) for o, n, s in zip(offset, sides, stride, strict=True)]
            taken = part[(slice(None), slice(None), *window)]
            result[:, rows] += np.einsum("nc...,oc->no...", taken, weight[(rows, slice(None), *offset)])
    return result


def normalise(x: np.ndarray, state: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Batch normalisation in evaluation mode."""
    wide = (1, -1, *[1] * (x.ndim - 2))
    weight, bias, mean, variance = (
        state[f"{name}.{key}"].reshape(wide) for key in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def max_pool(x: np.ndarray) -> np.ndarray:
    """3x3 maximum with stride 2, padded with minus infinity."""
    x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    high, wide = ((size - 3) // 2 + 1 for size in x.shape[2:])
    windows = [
        x[:, :, i : i + 2 * high - 1 : 2, j : j + 2 * wide - 1 : 2] for i, j in itertools.product(range(3), repeat=2)
    ]
    return np.max(windows, axis=0)


def forward(
    state: Mapping[str, np.ndarray], x: np.ndarray, *, stem_stride: tuple[int, ...], groups: int = 1, pool: bool = False
) -> dict[str, np.ndarray]:
    """The maps of all stages and the logits (`fc`) of images (N, 3, H, W) or clips (N, 3, T, H, W)."""
    images = x.ndim == 4
    first, first_norm = ("conv1", "bn1") if images else ("stem.0", "stem.1")
    x = convolve(x, state[f"{first}.weight"], stem_stride, 1)
    maps = {"stem": np.maximum(normalise(x, state, first_norm), 0)}
    x = maps["stem"]
    if pool:
        x = maps["maxpool"] = max_pool(x)
    blocks = sorted({tuple(key.split(".")[:2]) for key in state if key.startswith("layer")})
    for stage, block in blocks:
        stride = (2 if stage != "layer1" and block == "0" else 1,) * (x.ndim - 2)
        x = maps[stage] = _block(state, f"{stage}.{block}", x, stride, groups)
    pooled = x.mean(axis=tuple(range(2, x.ndim)))
    maps["fc"] = pooled @ state["fc.weight"].T + state["fc.bias"]
    return maps


def _block(
    state: Mapping[str, np.ndarray], name: str, x: np.ndarray, stride: tuple[int, ...], groups: int
) -> np.ndarray:
    def unit(x: np.ndarray, number: int, stride: tuple[int, ...], groups: int = 1) -> np.ndarray:
        conv, norm = f"{name}.conv{number}", f"{name}.bn{number}"
        if x.ndim == 5:
            conv, norm = f"{conv}.0", f"{conv}.1"
        return normalise(convolve(x, state[f"{conv}.weight"], stride, groups), state, norm)

    one, shortcut = (1,) * len(stride), x
    if f"{name}.downsample.0.weight" in state:
        shortcut = convolve(x, state[f"{name}.downsample.0.weight"], stride, 1)
        shortcut = normalise(shortcut, state, f"{name}.downsample.1")
    if f"{name}.conv3.weight" in state:
        x = np.maximum(unit(x, 1, one), 0)
        x = np.maximum(unit(x, 2, stride, groups), 0)
        x = unit(x, 3, one)
    else:
        x = unit(np.maximum(unit(x, 1, stride), 0), 2, one)
    return np.maximum(x + shortcut, 0)
