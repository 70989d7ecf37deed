"""A world of coloured squares on black, an encoder that sees them by construction, and captioners that name them."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import tensorflow as tf

from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.captioner.s2vt import S2VTConfig, S2VTModel
from glrg_tf.captioner.s2vt_captioner import S2VTCaptioner
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.text.vocabulary import SPECIAL_WORDS, Vocabulary
from glrg_tf.video.sampling import FramePlan
from training import optimizer as optimizers
from training.objectives.base import TensorBatch
from training.objectives.xe import CrossEntropy
from training.s2vt import loss_of

COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
VOCABULARY = Vocabulary((*SPECIAL_WORDS, "a", "square", *COLOURS))
SIDE, CELLS = 48, 6
STREAMS = (("keyframe", 3),)


def make_bundle() -> EncoderBundle:
    """A keyframe network whose map is the mean colour of each cell of 8 pixels; its classes are the colours."""
    spec = StreamSpec("keyframe", "keyframe", "keyframe", 1, (SIDE, SIDE), 3, tuple(COLOURS), normalise="none")
    frames = keras.Input((1, SIDE, SIDE, 3), name="frames")
    x = keras.ops.reshape(frames, (-1, SIDE, SIDE, 3)) / 255.0
    x = keras.layers.AveragePooling2D(SIDE // CELLS)(x)
    x = keras.layers.Identity(name="map")(x)
    logits = keras.layers.Dense(3, name="head")(x)
    probabilities = keras.layers.Activation("sigmoid")(keras.ops.max(logits, axis=(1, 2)))
    model = keras.Model(frames, probabilities)
    head = model.get_layer("head")
    head.set_weights([16.0 * np.eye(3) - 4.0, np.full(3, -4.0)])
    return EncoderBundle(FramePlan(positions=4), {"keyframe": StreamEncoder(spec, model)})


def frame(*squares: tuple[str, int, int]) -> np.ndarray:
    """uint8 (48, 48, 3) with squares of one cell: (colour, row, column)."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    size = SIDE // CELLS
    for colour, row, column in squares:
        image[row * size : (row + 1) * size, column * size : (column + 1) * size] = COLOURS[colour]
    return image


def lessons() -> tuple[np.ndarray, np.ndarray]:
    """Descriptors (B, 3) of every set of one or two colours, and two captions of each (B, 2, 5)."""
    rows, captions = [], []
    for count in (1, 2):
        for shown in itertools.combinations(COLOURS, count):
            rows.append([0.98 if colour in shown else 0.02 for colour in COLOURS])
            captions.append([VOCABULARY.encode(["a", c, "square"], 5) for c in (shown[0], shown[-1])])
    return np.array(rows, np.float32), np.array(captions, np.int32)


def train_glrg() -> VideoCaptioner:
    """A GL-RG captioner that names the colours it sees."""
    config = CaptionerConfig(
        len(VOCABULARY), STREAMS, pool_size=16, embedding_size=8, hidden_size=16, dropout=0.0, max_length=5
    )
    model = CaptionerModel(config, seed=1)
    rows, captions = lessons()
    schedule = {"sampling_probability": tf.constant(0.0)}
    batch = TensorBatch(
        tf.constant(rows), tf.constant(captions), tf.ones(captions.shape[:2]), tf.range(len(rows)), schedule
    )
    objective = CrossEntropy()
    _fit(model, lambda: objective.loss(model, batch, tf.constant([1, 1]))[0])
    return VideoCaptioner(model, VOCABULARY, DecodingConfig(beam_size=1, max_words=5), make_bundle())


def train_s2vt() -> S2VTCaptioner:
    """An S2VT captioner of the same lessons, each a video of two equal descriptors."""
    model = S2VTModel(
        S2VTConfig(
            len(VOCABULARY), STREAMS, visual_size=16, embedding_size=8, hidden_size=16, dropout=0.0, max_length=5
        ),
        seed=1,
    )
    rows, captions = lessons()
    videos = tf.constant(np.repeat(rows[:, None], 2, axis=1))
    _fit(model, lambda: loss_of(model, videos, tf.constant(captions))[0])
    return S2VTCaptioner(model, VOCABULARY, make_bundle())


def _fit(model: CaptionerModel, loss_of_model, steps: int = 120) -> None:
    variables = model.trainable_variables
    optimizer = optimizers.build(0.03, variables)

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of_model()
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply([tf.convert_to_tensor(gradient) for gradient in gradients], variables)
        return loss

    for _ in range(steps):
        loss = step()
    if not float(loss) < 0.35:  # two captions of half the videos: ln 2 / 2 a caption of four tokens at best
        raise AssertionError(f"the lessons were not learned: {float(loss)}")
