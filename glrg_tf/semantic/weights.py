"""The parameters of a GloVe model as arrays, without TensorFlow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class GloveWeights(NamedTuple):
    """Parameters as arrays.

    Attributes:
        centre: w, float32 (V, d).
        context: w̃, float32 (V, d).
        centre_bias: b, float32 (V,).
        context_bias: b̃, float32 (V,).
    """

    centre: np.ndarray
    context: np.ndarray
    centre_bias: np.ndarray
    context_bias: np.ndarray
