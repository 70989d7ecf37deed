"""Where bulk work of `glrg extract` and `glrg caption` is done: in processes of this machine, or on Apache Beam."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import shlex

from glrg_tf.errors import ConfigError

ENGINES = ("local", "beam")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the engine."""
    parser.add_argument("--engine", choices=ENGINES, default="local", help="who works (default: local)")
    parser.add_argument("--engine-options", metavar="TEXT", help='beam: of the pipeline, as "runner=FlinkRunner …"')
    parser.add_argument(
        "--parts", metavar="DIR", help="beam: folder that all workers see, for unfinished work (default: beside --out)"
    )


@dataclasses.dataclass(frozen=True)
class BeamChoice:
    """What was asked of Beam."""

    options: tuple[str, ...]
    parts: pathlib.Path


def beam_choice(args: argparse.Namespace, output: str | None) -> BeamChoice | None:
    """The choice of Beam, checked before anything is loaded; None for the local engine.

    Args:
        args: of the command.
        output: its --out.

    Raises:
        ConfigError: Beam is not installed, or options that do not go together.
    """
    if args.engine != "beam":
        if args.engine_options is not None or args.parts is not None:
            raise ConfigError("--engine-options and --parts are Beam's", remedy="add --engine beam")
        return None
    if output is None:
        raise ConfigError("--engine beam needs --out", remedy="--out FILE")
    from glrg_tf.encoders.beam_engine import require_beam

    require_beam()
    name = pathlib.Path(output).name + ".beam"
    folder = pathlib.Path(args.parts) if args.parts is not None else pathlib.Path(output).parent
    try:
        words = shlex.split(args.engine_options or "")
    except ValueError as error:
        raise ConfigError(f"--engine-options cannot be read ({error})", remedy="close its quotation marks") from None
    # Without dashes too, for argparse takes "--engine-options --runner=…" for two options.
    options = tuple(word if word.startswith("-") else f"--{word}" for word in words)
    return BeamChoice(options, (folder / name).resolve())
