"""Determinism mode: the same seed gives the same weights, bit for bit, on the same machine and number of threads.

All randomness is a function of (seed, step, place in the batch) anyway. What is left are operations that add in an
order of their own: TensorFlow then takes the slower, ordered form of each, or refuses it by name.
"""

from __future__ import annotations


def make_deterministic(seed: int) -> None:
    """Switches the mode on for this process; call it before anything is trained.

    Args:
        seed: of the random operations that take none; training has none, TensorFlow wants one all the same.
    """
    import tensorflow as tf

    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
