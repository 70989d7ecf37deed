"""Writes a training step as StableHLO, to be compiled and timed where there is jaxlib and no TensorFlow.

    python -m benchmarks.portable_step --objective xe,dxe,dr --precision float32,bfloat16 --out portable

Each step becomes a folder: step.mlir, manifest.json (order, shapes and types of arguments and results, FLOPs, floors)
and samples.npz (arguments, and a part of what TensorFlow's own XLA gave for them). `run_portable.py` needs nothing
else. The step is the one that `glrg train` compiles (`static_rollout.py`, objectives, clipping, Adam), as a pure
function: weights, moments, step number, learning rate, seed and batch in; loss, gradient norm, new weights and moments
out; no captured variables. The reward's tables are arguments too.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import gpu_floor, material
from benchmarks.floor import Sizes
from glrg_tf.captioner.decoder import DecoderWeights
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.io import atomic
from glrg_tf.metrics import ciderd_xla
from glrg_tf.metrics.ciderd import CiderD
from training.execution import Execution, cut_labels
from training.objectives import base
from training.objectives.dr import DiscrepantReward
from training.objectives.dxe import DiscriminativeCrossEntropy
from training.objectives.xe import CrossEntropy

OBJECTIVES = ("xe", "dxe", "dr")
_DECODER = ("word_embedding/embeddings", "lstm/word_kernel", "lstm/recurrent_kernel", "logits/kernel", "logits/bias")
_BETA_1, _BETA_2, _EPSILON, _CLIP = 0.9, 0.999, 1e-8, 0.25
_KEPT = 4096  # values of each result that samples.npz keeps

_LOCATION = re.compile(r' loc\((?:#loc\d*|"[^"]*"(?::\d+:\d+)?|unknown|fused\[[^\]]*\])\)')

Tree = Mapping[str, Any]  # of arrays or tensors, by name, nested


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Which step is written."""

    objective: str = "xe"
    precision: str = "float32"
    vocabulary: int = 2461
    videos: int = 32
    dropout: float = 0.5  # its masks come from the seed argument; another XLA may draw others from it
    hidden: int = 512

    @property
    def name(self) -> str:
        """Folder of the step."""
        return f"{self.objective}_{self.precision}_v{self.vocabulary}_b{self.videos}"


class TensorModel:
    """The captioner's networks on given tensors: what the objectives ask of a `CaptionerModel`, without variables.

    Args:
        model: the networks.
        weights: tensors by `layer/variable`.
    """

    def __init__(self, model: CaptionerModel, weights: Tree) -> None:
        self.config, self._model, self._weights = model.config, model, weights

    def encoder(self, features: tf.Tensor) -> tf.Tensor:
        """See `CaptionerModel.encoder`."""
        return self._call(self._model.encoder, features)

    def video_projection(self, embedding: tf.Tensor) -> tf.Tensor:
        """See `CaptionerModel.video_projection`."""
        return self._call(self._model.video_projection, embedding)

    def decoder_weights(self) -> DecoderWeights:
        """See `CaptionerModel.decoder_weights`."""
        return DecoderWeights(*(self._weights[name] for name in _DECODER))

    def _call(self, network: Any, inputs: tf.Tensor) -> tf.Tensor:
        names = {id(variable): name for name, variable in self._model.variables_by_name().items()}
        values = [self._weights[names[id(variable)]] for variable in network.trainable_variables]
        return network.stateless_call(values, [], inputs)[0]


def step_function(
    model: CaptionerModel, recipe: Recipe, scorer: CiderD | None, compiled: bool = True
) -> Callable[[Tree], Tree]:
    """The step as a function of one tree of tensors (see `arguments_for`)."""
    form = Execution(compiled, recipe.precision)  # type: ignore[arg-type]

    def step(arguments: Tree) -> Tree:
        weights, batch = arguments["weights"], arguments["batch"]
        objective = _objective(recipe, scorer, arguments.get("reward"))
        tensors = base.TensorBatch(
            batch["features"], batch["token_ids"], batch["consensus"], batch["video_rows"], arguments["schedule"], form
        )
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss, _ = objective.loss(TensorModel(model, weights), tensors, arguments["seed"])  # type: ignore[arg-type]
        names = sorted(weights)
        gradients = tape.gradient(loss, [weights[name] for name in names])
        clipped, norm = tf.clip_by_global_norm([tf.convert_to_tensor(g) for g in gradients], _CLIP)
        moved = _adam(arguments, dict(zip(names, clipped, strict=True)))
        return {"a_loss": loss, "b_gradient_norm": norm, **moved}

    return step


def _objective(recipe: Recipe, scorer: CiderD | None, tables: Tree | None) -> base.Objective:
    if recipe.objective == "xe":
        return CrossEntropy()
    if recipe.objective == "dxe":
        return DiscriminativeCrossEntropy()

    class Reward:
        """CIDEr-D on tables that are arguments of the step."""

        def compiled(self, token_ids: tf.Tensor, video_rows: tf.Tensor) -> tf.Tensor:
            most = int(np.diff(scorer.tables.pair_starts).max())
            return ciderd_xla.score(tables, most, token_ids, video_rows, scorer.use_eos)

        __call__ = compiled

    return DiscrepantReward(Reward(), "b2")


def _adam(arguments: Tree, gradients: Tree) -> Tree:
    """New weights and moments, as `training/optimizer.py` moves them."""
    count = tf.cast(arguments["step"] + 1, tf.float32)
    rate = arguments["learning_rate"] * tf.sqrt(1.0 - _BETA_2**count) / (1.0 - _BETA_1**count)
    weights, momentums, velocities = {}, {}, {}
    for name, gradient in gradients.items():
        momentum, velocity = arguments["momentums"][name], arguments["velocities"][name]
        momentums[name] = momentum + (gradient - momentum) * (1.0 - _BETA_1)
        velocities[name] = velocity + (tf.square(gradient) - velocity) * (1.0 - _BETA_2)
        weights[name] = arguments["weights"][name] - rate * momentums[name] / (tf.sqrt(velocities[name]) + _EPSILON)
    return {"weights": weights, "momentums": momentums, "velocities": velocities}


def arguments_for(model: CaptionerModel, recipe: Recipe, source: material.Material, scorer: CiderD | None) -> Tree:
    """Sample arguments as numpy arrays; moments as after some steps, so that Adam divides by no noise."""
    rows = source.rows(recipe.videos)
    token_ids = source.token_ids[rows]
    if recipe.objective != "dr":
        token_ids = cut_labels(token_ids, model.config.max_length)
    weights = model.get_weights()
    arguments = {
        "batch": {
            "features": source.features[rows],
            "token_ids": token_ids,
            "consensus": source.consensus[rows],
            "video_rows": rows,
        },
        "learning_rate": np.float32(3e-4),
        "momentums": {name: np.zeros_like(value) for name, value in weights.items()},
        "schedule": {"mixer_from": np.int32(1), "baseline_size": np.int32(material.CAPTIONS)},
        "seed": np.array([1, 2], np.int32),
        "step": np.int32(100),
        "velocities": {name: np.full_like(value, 1e-6) for name, value in weights.items()},
        "weights": weights,
    }
    if scorer is not None:
        arguments["reward"] = {name: tensor.numpy() for name, tensor in scorer._table_tensors().items()}
    return arguments


def named_leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a tree with their paths, in the order of `tf.nest.flatten`."""
    if not isinstance(tree, Mapping):
        yield prefix, tree
        return
    for name in sorted(tree):
        yield from named_leaves(tree[name], f"{prefix}.{name}" if prefix else name)


def write(recipe: Recipe, out: Path, source: material.Material | None = None) -> Path:
    """Writes one step; returns its folder."""
    source = source or material.find(recipe.vocabulary)
    streams = CaptionerConfig().streams if source.features.shape[1] == 1700 else (("made", source.features.shape[1]),)
    sizes = {name: recipe.hidden for name in ("pool_size", "embedding_size", "hidden_size")}
    config = CaptionerConfig(recipe.vocabulary, streams, dropout=recipe.dropout, **sizes)
    model = CaptionerModel(config, seed=1)
    if source.weights is not None:  # trained ones sample captions of usual length and reward
        model.set_weights(source.weights)
    scorer = CiderD.from_references(source.references()) if recipe.objective == "dr" else None
    arguments = arguments_for(model, recipe, source, scorer)
    leaves = [(name, np.asarray(value)) for name, value in named_leaves(arguments)]
    step = step_function(model, recipe, scorer)

    @tf.function(jit_compile=True, autograph=False)
    def flat(*values: tf.Tensor) -> list[tf.Tensor]:
        return tf.nest.flatten(step(tf.nest.pack_sequence_as(arguments, values)))

    tensors = [tf.constant(value) for _, value in leaves]
    if flat.get_concrete_function(*tensors).captured_inputs:
        raise ValueError("the step holds captured tensors")
    text = spelled_out(flat.experimental_get_compiler_ir(*tensors)(stage="stablehlo"))
    results = [value.numpy() for value in flat(*tensors)]
    structure = {"a_loss": 0, "b_gradient_norm": 0, **{k: arguments["weights"] for k in ("weights", "momentums")}}
    names = [name for name, _ in named_leaves({**structure, "velocities": arguments["weights"]})]
    folder = out / recipe.name
    manifest = _manifest(
        recipe,
        leaves,
        list(zip(names, results, strict=True)),
        Sizes(recipe.vocabulary, config.feature_size, recipe.hidden),
    )
    samples = {f"argument_{i}": value for i, (_, value) in enumerate(leaves)}
    samples |= {f"result_{i}": part_of(value) for i, value in enumerate(results)}
    with atomic.new_folder(folder, replace=True) as partial:
        (partial / "step.mlir").write_text(text, "utf-8")
        (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
        np.savez_compressed(partial / "samples.npz", **samples)
    return folder


def spelled_out(text: str) -> str:
    """StableHLO without source locations, its Boolean constants as lists.

    Locations hold the paths of the machine that wrote them; how many bits a hexadecimal digit of a Boolean constant
    stands for differs between versions of MLIR.
    """

    def spell(match: re.Match[str]) -> str:
        shape = [int(size) for size in match[2].split("x")[:-1]]
        packed = np.frombuffer(bytes.fromhex(match[1]), np.uint8)
        bits = np.unpackbits(packed, bitorder="little")[: math.prod(shape)].astype(bool).reshape(shape)
        return f"dense<{json.dumps(bits.tolist())}> : tensor<{match[2]}>"

    text = _LOCATION.sub("", re.sub(r"^#loc.*\n", "", text, flags=re.MULTILINE))
    return re.sub(r'dense<"0x([0-9A-Fa-f]+)"> : tensor<((?:\d+x)+i1)>', spell, text)


def part_of(value: np.ndarray) -> np.ndarray:
    """At most about `_KEPT` values of an array, evenly spread: whole results would make samples.npz large."""
    return value.ravel()[:: max(1, value.size // _KEPT)]


def _manifest(
    recipe: Recipe, arguments: list[tuple[str, np.ndarray]], results: list[tuple[str, np.ndarray]], sizes: Sizes
) -> dict[str, Any]:
    labels = dict(arguments)["batch.token_ids"]
    samples = recipe.objective == "dr"
    steps = labels.shape[2] - (2 if samples else 1)
    flops = gpu_floor.static_flops(labels.shape[0], labels.shape[1], steps, sizes, samples=samples)
    batch_bytes = sum(value.nbytes for name, value in arguments if name.startswith("batch."))

    def described(rows: list[tuple[str, np.ndarray]]) -> list[dict[str, Any]]:
        return [{"name": n, "shape": list(v.shape), "dtype": str(v.dtype)} for n, v in rows]

    return {
        "name": recipe.name,
        **dataclasses.asdict(recipe),
        "captions_per_video": labels.shape[1],
        "steps": steps,
        "tensorflow": tf.__version__,
        "arguments": described(arguments),
        "results": [
            {**row, "stride": max(1, v.size // _KEPT)} for row, (_, v) in zip(described(results), results, strict=True)
        ],
        "flops": flops,
        "floors": gpu_floor.floors(flops, gpu_floor.parameter_count(sizes), batch_bytes),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objective", default="xe,dxe,dr", help="of xe, dxe, dr, with commas")
    parser.add_argument("--precision", default="float32", help="of float32, bfloat16, float16, with commas")
    parser.add_argument("--vocabulary", type=int, default=2461)
    parser.add_argument("--videos", type=int, default=32)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for objective in args.objective.split(","):
        if objective not in OBJECTIVES:
            parser.error(f"unknown objective '{objective}'")
        for precision in args.precision.split(","):
            recipe = Recipe(objective, precision, args.vocabulary, args.videos, args.dropout)
            print(write(recipe, args.out))


if __name__ == "__main__":
    main()
