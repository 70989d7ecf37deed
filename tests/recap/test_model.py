"""The network of long video: published sizes, closed gates, the cache, padding, and what starts from what."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.config import from_dict, to_dict
from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.recap import decoding, layers
from glrg_tf.recap.counting import count_parameters
from glrg_tf.recap.model import RecapNetwork
from glrg_tf.recap.settings import NANO, RecapConfig, paper_level
from tests.recap.made_recap import tiny

BATCH = 3


@pytest.fixture(scope="module")
def network() -> RecapNetwork:
    """A tiny network with open gates and words far apart, so that everything it reads is heard."""
    return opened()


def opened(**changes: object) -> RecapNetwork:
    """A network of which nothing is closed."""
    made = RecapNetwork(tiny(decoder_layers=2, mapper_layers=2, **changes), seed=3)
    for name, variable in made.variables.items():
        if "gate_" in name:
            variable.assign(0.7)
        if name.endswith(("kernel", "places")):
            variable.assign(variable * 3)
    return made


def inputs(seed: int = 0, rows: int = 5, words: int = 9) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "features": rng.normal(size=(BATCH, rows, 5)).astype(np.float32),
        "seen": np.ones((BATCH, rows), np.float32),
        "text_ids": rng.integers(3, 20, (BATCH, words)).astype(np.int32),
    }


def test_published_parameter_counts():
    """Fact sheet, section 5: what training moves of the three models; the alignment's 99.2 M that take part."""
    assert count_parameters(paper_level("clip")).trainable == 99_471_384
    assert count_parameters(paper_level("segment")).trainable == 113_679_384
    assert count_parameters(paper_level("video")).trainable == 113_851_416
    without = dataclasses.replace(paper_level("video"), text_queries=0)
    alignment = count_parameters(paper_level("video")).total - count_parameters(without).total - 256 * 768
    assert alignment == 99_239_424
    gpt2 = 50257 * 768 + 1024 * 768 + 12 * 7_087_872 + 2 * 768
    assert gpt2 == 124_439_808


@pytest.mark.parametrize(
    "changes",
    [{}, {"text_reader": "queries", "trainable": "paper", "cross_every": 2, "mapper_layers": 3, "shared_mapper": True}],
)
def test_counting_agrees_with_built_networks(changes):
    config = tiny(**changes)
    built = RecapNetwork(config)
    counted = count_parameters(config)
    assert counted.total == built.count()
    assert counted.trainable == sum(int(np.prod(v.shape)) for v in built.trainable_variables)


def test_closed_gates_are_the_plain_language_model(network):
    plain = RecapNetwork(network.config, seed=5)
    token_ids = np.random.default_rng(1).integers(0, 20, (BATCH, 7)).astype(np.int32)
    logits = plain.training_model("segment")(inputs() | {"token_ids": token_ids}, training=False)
    expected = plain.language_model(token_ids, training=False)
    np.testing.assert_array_equal(np.asarray(logits), np.asarray(expected))
    open_gates = network.training_model("segment")(inputs() | {"token_ids": token_ids}, training=False)
    assert np.abs(np.asarray(open_gates) - np.asarray(network.language_model(token_ids, training=False))).max() > 0.1


def test_gates_get_a_gradient_from_the_start():
    plain = RecapNetwork(tiny(), seed=5)
    model = plain.training_model("segment")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(inputs() | {"token_ids": np.ones((BATCH, 4), np.int32)}, training=False) ** 2)
    gates = [variable.value for name, variable in plain.variables.items() if "gate_" in name]
    assert all(abs(float(gradient)) > 0 for gradient in tape.gradient(loss, gates))


def test_cached_steps_equal_the_whole_prefix(network):
    conditioning = network.conditioning("segment")(inputs(), training=False)
    token_ids = np.random.default_rng(2).integers(3, 20, (BATCH, 6)).astype(np.int32)
    whole = np.asarray(network.decoder([tf.constant(token_ids), *conditioning], training=False))
    looked_at = [unit.look_at(*conditioning) for unit in network.layers.units]
    sizes = network.config
    empty = tf.zeros([BATCH, sizes.heads, 0, sizes.width // sizes.heads])
    cache = (empty,) * (2 * sizes.decoder_layers)
    for place in range(6):
        logits, cache = decoding.step(network.layers, token_ids[:, place], tf.constant(place), looked_at, cache)
        np.testing.assert_allclose(logits, whole[:, place], rtol=1e-4, atol=1e-4)
    assert cache[0].shape[2] == 6


def test_greedy_takes_the_most_probable_words_and_keeps_the_last(network):
    conditioning = network.conditioning("segment")(inputs(), training=False)
    most = 10
    found = decoding.greedy(network.layers, conditioning, 1, 0, most).numpy()
    for row in range(BATCH):
        words: list[int] = []
        while len(words) < most:
            prefix = tf.constant([[1, *words]], tf.int32)
            looked_at = [one[row : row + 1] for one in conditioning]
            token = int(np.argmax(network.decoder([prefix, *looked_at], training=False)[0, -1]))
            if token == 0:
                break
            words.append(token)
        assert decoding.words_of(found[row]) == words
    ends = [len(decoding.words_of(row)) for row in found]
    assert found.shape == (BATCH, most) and max(ends) > 0


@pytest.mark.parametrize("reader", ["words", "queries"])
def test_padding_changes_nothing(network, reader):
    network = network if reader == network.config.text_reader else opened(text_reader=reader)
    short = inputs(words=5, rows=3)
    long = {
        "features": np.pad(short["features"], ((0, 0), (0, 4), (0, 0)), constant_values=9.0),
        "seen": np.pad(short["seen"], ((0, 0), (0, 4))),
        "text_ids": np.pad(short["text_ids"], ((0, 0), (0, 6)), constant_values=-1),
    }
    token_ids = np.random.default_rng(2).integers(3, 20, (BATCH, 6)).astype(np.int32)
    short, long = (one | {"token_ids": token_ids} for one in (short, long))
    model = network.training_model("segment")
    np.testing.assert_allclose(model(short, training=False), model(long, training=False), atol=1e-5)
    nothing = long | {"seen": long["seen"] * 0, "text_ids": np.full_like(long["text_ids"], -1)}
    assert np.isfinite(np.asarray(model(nothing, training=False))).all()


def test_order_of_rows_is_seen(network):
    forward = inputs()
    backward = forward | {"features": forward["features"][:, ::-1]}
    model = network.conditioning("video")
    assert np.abs(np.asarray(model(forward)[0]) - np.asarray(model(backward)[0])).max() > 1e-3


def test_words_know_which_text_they_are_of():
    """The same words, another text of them: a separator more before them moves what the decoder looks at."""
    network = opened(inputs="text")
    separator = network.config.separator
    one = np.asarray([[5, 6, separator, 7, 8]], np.int32)
    other = np.asarray([[5, separator, separator, 7, 8]], np.int32)
    model = RecapNetwork(dataclasses.replace(network.config, text_blocks=0), seed=1)
    model.set_weights(network.get_weights())
    (first, heard), (second, _) = (model.conditioning("video")({"text_ids": ids}) for ids in (one, other))
    moved = np.abs(np.asarray(first) - np.asarray(second)).max(axis=2)[0]
    assert (moved > 1e-3).tolist() == [False, True, True, True, True] and np.asarray(heard).all()
    late = np.asarray([[separator] * 70 + [5]], np.int32)[:, : network.config.positions]  # later than any place
    assert np.isfinite(np.asarray(model.conditioning("video")({"text_ids": late})[0])).all()


def test_settings_of_older_captioners_mean_queries():
    old = to_dict(tiny(text_reader="queries"))
    for name in ("text_reader", "text_places", "separator"):
        del old[name]
    network = RecapNetwork(from_dict(RecapConfig, old))
    assert NANO.text_reader == "words" and network.text_mapper is not None
    assert not any(name.startswith("text_input") for name in network.variables)


def test_inputs_of_levels():
    assert set(RecapNetwork(tiny(inputs="text")).conditioning("video").input) == {"text_ids"}
    assert set(RecapNetwork(tiny(inputs="video")).conditioning("video").input) == {"features", "seen"}
    with pytest.raises(ConfigError, match="neither"):
        RecapNetwork(tiny(dense_width=0, row_width=0, text_queries=0))
    with pytest.raises(ConfigError, match="reads nothing"):
        RecapNetwork(tiny(dense_width=0)).conditioning("clip")


def test_the_next_level_starts_from_the_one_below(network):
    clip = RecapNetwork(tiny(row_width=0, text_queries=0, video_queries=6), seed=1)
    segment = RecapNetwork(tiny(dense_width=0), seed=2)
    before = segment.get_weights()
    new = segment.start_from(clip)
    assert new and all(name.startswith(("text_input", "row_input")) for name in new)
    after, source = segment.get_weights(), clip.get_weights()
    np.testing.assert_array_equal(after["block_0/self.qkv.kernel"], source["block_0/self.qkv.kernel"])
    np.testing.assert_array_equal(after["video_queries/queries"], source["video_queries/queries"][[1, 2, 3, 4]])
    np.testing.assert_array_equal(after["text_input/places"], before["text_input/places"])


def test_weights_by_name_and_seed(network):
    values = network.get_weights()
    twin = RecapNetwork(network.config, seed=9)
    twin.set_weights(values)
    np.testing.assert_array_equal(
        twin.get_weights()["video_0/cross.query.kernel"], values["video_0/cross.query.kernel"]
    )
    one, other = (RecapNetwork(tiny(), seed=seed).get_weights() for seed in (4, 4))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    with pytest.raises(CheckpointError, match="missing"):
        twin.set_weights({})
    with pytest.raises(CheckpointError, match="not finite"):
        twin.set_weights(values | {"logits/norm.gamma": values["logits/norm.gamma"] * np.nan})


def test_attention_to_nothing_is_zero_and_squared_relu():
    query = tf.ones([1, 1, 2, 4])
    assert not np.asarray(layers.attend(query, query, query, tf.zeros([1, 1, 1, 2]))).any()
    np.testing.assert_array_equal(layers.squared_relu(tf.constant([-2.0, 3.0])), [0.0, 9.0])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"heads": 5}, "heads"),
        ({"max_words": (8, 12, 99)}, "positions"),
        ({"width": 0}, "width"),
        ({"dropout": 1.0}, "dr"),
    ],
)
def test_sizes_that_cannot_be(changes, match):
    with pytest.raises(ConfigError, match=match):
        tiny(**changes)
    assert RecapConfig().reads_text("clip") is False


def test_lower_texts_pass_the_plain_blocks(network):
    """With blocks a word's context changes what is read; padding still changes nothing; no weight is added."""
    bare = RecapNetwork(dataclasses.replace(network.config, text_blocks=0), seed=1)
    assert bare.count() == network.count()
    bare.set_weights(network.get_weights())
    read, through = (np.asarray(one.conditioning("segment")(inputs())[0]) for one in (bare, network))
    assert np.abs(read - through).max() > 1e-3
    short = {"text_ids": inputs()["text_ids"][:, :5]}
    long = {"text_ids": np.pad(short["text_ids"], ((0, 0), (0, 3)), constant_values=-1)}
    alone = RecapNetwork(dataclasses.replace(network.config, inputs="text"), seed=1)
    model = alone.conditioning("video")
    np.testing.assert_allclose(model(short)[0], model(long)[0][:, :5], atol=1e-5)
    np.testing.assert_array_equal(model(long)[1], (long["text_ids"] >= 0).astype(np.float32))
