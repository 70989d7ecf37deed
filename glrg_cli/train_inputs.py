"""What `glrg train` reads a video by: the streams it is trained on, and the encoder that makes them from videos."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.parser import nearest
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.dataset import FEATURES, read_description
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.errors import ConfigError

if TYPE_CHECKING:
    from training.config import RunConfig
    from training.curriculum import TrainingPlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--streams` and `--encoder`."""
    parser.add_argument("--streams", metavar="S,S", help="of the dataset's features, in this order (default: all)")
    parser.add_argument(
        "--encoder", metavar="ENC", help="what extracted the features: goes into the run, which then reads videos"
    )


def choose_streams(config: RunConfig, args: argparse.Namespace, start: str | None, resumed: bool) -> RunConfig:
    """The settings with the streams that were asked for; without a word, those of the recipe or else of the dataset.

    Raises:
        ConfigError: a stream that the features do not have, or an entrance model that has chosen already.
        FeatureError: the feature file is damaged.
    """
    if args.streams is None and (resumed or start or any("model.streams" in text for text in args.set)):
        return config
    path = pathlib.Path(args.data) / FEATURES
    if not path.is_file():
        return config  # refused later, with all that is wrong
    with FeatureStore(path) as store:
        found = store.streams
    if args.streams is None:
        fits = all(found.get(name) == width for name, width in config.model.streams)
        return config if fits else _with_streams(config, found)
    if start is not None:
        raise ConfigError("the entrance model has chosen its streams", where="--streams", remedy="leave --streams out")
    chosen = {}
    for name in (part.strip() for part in args.streams.split(",")):
        if name not in found:
            near = nearest(name, found)
            remedy = f"did you mean '{near}'?" if near else "the features have: " + ", ".join(found)
            raise ConfigError(f"the features have no stream '{name}'", where="--streams", remedy=remedy)
        chosen[name] = found[name]
    return _with_streams(config, chosen)


def fit_to_data(config: RunConfig, data: str, phases: tuple[str, ...], console: Console) -> RunConfig:
    """The settings for as much as the dataset has to train on; says what differs from the recipe.

    Raises:
        DataError: there is no dataset.
    """
    from training.sizing import fit

    counts = read_description(pathlib.Path(data)).get("splits", {}).get("train", {})
    videos, captions = counts.get("videos"), counts.get("captions")
    if not isinstance(videos, int) or not isinstance(captions, int):
        return config  # refused later, with all that is wrong
    fitted, changed = fit(config, videos, captions)
    shown = ", ".join(
        f"{name} {value}" for name, value in changed.items() if name.split(".")[0] in (*phases, "min_count")
    )
    if shown:
        console.info(f"for {videos} training videos with {captions} captions: {shown} (--set changes them)")
    return fitted


def check_encoder(source: str, plan: TrainingPlan, model: CaptionerConfig, console: Console) -> Any:
    """Loads the encoder of `--encoder` and checks that it is the one the features come from.

    Returns:
        The EncoderBundle.

    Raises:
        ConfigError: other streams than the captioner reads, or features made by another encoder.
    """
    from glrg_cli.encoders import open_encoder
    from glrg_tf.captioner.video_input import check_encoder as check_streams

    bundle = open_encoder(source)
    check_streams(model, dict(bundle.widths))
    attributes = plan.dataset.features.attributes if plan.dataset.features is not None else {}
    maker = attributes.get("weights_sha256")
    if maker is None:
        console.warning("the features do not say what extracted them: captions of videos are as good as the two agree")
    elif maker != bundle.fingerprint:
        raise ConfigError(
            "the features were extracted with another encoder",
            where=plan.dataset.folder / FEATURES,
            remedy=f"extract them again: `glrg extract {plan.dataset.folder} --encoder {source} --out …`",
        )
    return bundle


def _with_streams(config: RunConfig, streams: dict[str, int]) -> RunConfig:
    model = dataclasses.replace(config.model, streams=tuple(streams.items()))
    return dataclasses.replace(config, model=model)
