"""In which form a training step is computed: shared prefixes or static shapes, XLA or not, which precision.

Without XLA and in float32 the step shares prefixes (`captioner/rollout.py`), the fast form on a CPU. XLA and low
precision take the static form (`captioner/static_rollout.py`): XLA because it must, low precision because the fast
form's gradient is written for float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf

from glrg_tf.captioner.products import Precision, Product, make_product
from glrg_tf.captioner.static_rollout import bucketed_steps
from glrg_tf.data.batches import Batch
from glrg_tf.errors import ConfigError

Compile = Literal["auto", "off", "xla"]


class Execution(NamedTuple):
    """The form of a step."""

    compiled: bool = False  # by XLA
    precision: Precision = "float32"  # of the decoder's matrix products

    @property
    def static(self) -> bool:
        """Whether the rollout has static shapes."""
        return self.compiled or self.precision != "float32"

    @property
    def product(self) -> Product:
        """The matrix product of the decoder."""
        return make_product(self.precision, self.compiled)


def choose(compile_setting: Compile, precision: Precision, objective: Any, replicas: int) -> Execution:
    """The form for an objective on this machine.

    Args:
        compile_setting: "auto" compiles where a GPU is visible and the objective and the strategy allow it.
        precision: of the decoder's matrix products.
        objective: its `compilable` says whether XLA can compile it (True if it says nothing).
        replicas: in the strategy.

    Raises:
        ConfigError: "xla" where it cannot be.
    """
    reason = None
    if not getattr(objective, "compilable", True):
        reason = "XLA compiles no other reward than CIDEr-D of weight 1"
    elif replicas > 1:
        reason = "a step of several replicas is not compiled: its sums over replicas lie inside of it"
    if compile_setting == "xla" and reason is not None:
        raise ConfigError(reason, where="compile", remedy='compile = "auto" or "off"')
    wanted = compile_setting == "xla" or (compile_setting == "auto" and bool(tf.config.list_physical_devices("GPU")))
    return Execution(wanted and reason is None, precision)


def bucketed(function: Any, max_length: int) -> Callable[..., Any]:
    """Wraps a step in static shapes: labels are cut on the host to the bucket of the batch's longest caption."""

    def step(batch: Batch, *rest: Any) -> Any:
        return function(batch._replace(token_ids=cut_labels(batch.token_ids, max_length)), *rest)

    step.experimental_get_tracing_count = function.experimental_get_tracing_count  # type: ignore[attr-defined]
    return step


def cut_labels(token_ids: Any, max_length: int) -> Any:
    """Labels int32 (B, G, L) without the columns that no caption of the batch reaches."""
    longest = int(np.count_nonzero(np.asarray(token_ids), axis=2).max()) - 1
    return token_ids[:, :, : bucketed_steps(longest, max_length) + 1]
