"""Command-line parsing that teaches: misspelt commands and options are answered with the nearest known one."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from glrg_tf.errors import ConfigError

_REQUIRED = "the following arguments are required"  # as argparse says it


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `ConfigError` where the standard one exits, and never guesses abbreviations.

    Attributes:
        default_command: the subcommand that is meant where the first word names none; None requires one.
    """

    default_command: str | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", _HelpFormatter)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Turns argparse's complaint into a `ConfigError` that points at this parser's help."""
        raise ConfigError(_reword(message), where=f"`{self.prog}`", remedy=f"`{self.prog} --help` shows the usage")

    def parse_strictly(self, arguments: list[str]) -> argparse.Namespace:
        """Parses `arguments`; an unknown option names the nearest known one of the chosen subcommand."""
        first = next((word for word in arguments if not word.startswith("-")), None)
        if self.default_command is not None and first is not None and first not in _children(self):
            arguments = [self.default_command, *arguments]
        try:
            known, extra = self.parse_known_args(arguments)
        except ConfigError as error:
            if error.what.startswith(_REQUIRED):  # perhaps it is there, misspelt
                self._refuse_unknown(arguments, misspelt_only=True)
            raise
        if extra:
            self._refuse_unknown(arguments, extra)
        return known

    def _refuse_unknown(
        self, arguments: list[str], extra: list[str] | None = None, *, misspelt_only: bool = False
    ) -> None:
        """Names the first word that the chosen subcommand does not know, of `extra` or else of all options."""
        leaf = chosen_leaf(self, arguments)
        options = [word for word in arguments if word.startswith("--") and word.split("=")[0] not in _options(leaf)]
        unknown = next((word for word in (extra or options) if word.startswith("-")), extra[0] if extra else None)
        if unknown is None:
            return
        near = nearest(unknown.split("=")[0], _options(leaf)) if unknown.startswith("-") else None
        if misspelt_only and near is None:
            return
        raise ConfigError(
            f"unknown option '{unknown}'" if unknown.startswith("-") else f"unexpected argument '{unknown}'",
            where=f"`{leaf.prog}`",
            remedy=f"did you mean '{near}'?" if near else f"`{leaf.prog} --help` shows the usage",
        )


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps examples as written and gives options a readable column."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The entry of `known` most like `word`, or None when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers that run something: `parser` itself, or those of its subcommands, recursively."""
    children = _children(parser)
    if not children:
        yield parser
    for child in dict.fromkeys(children.values()):
        yield from leaves(child)


def chosen_leaf(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.ArgumentParser:
    """The (sub)parser that `arguments` lead to."""
    for word in arguments:
        parser = _children(parser).get(word, parser)
    return parser


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Gives every subcommand of `parser` the options that all commands share, where it has none of that name."""
    for leaf in leaves(parser):
        group = leaf.add_argument_group("on every command")
        for name, settings in _COMMON.items():
            if name not in leaf._option_string_actions:
                group.add_argument(name, **settings)


def fill_common_defaults(args: argparse.Namespace) -> None:
    """Sets the shared options that were not given (they are suppressed so that any position may set them)."""
    for name, value in {"seed": None, "debug": False, "quiet": False, "json": False}.items():
        if not hasattr(args, name):
            setattr(args, name, value)


def integer(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number of at least `minimum` and at most `maximum`."""
    bounds = f"at least {minimum}" if maximum is None else f"{minimum} to {maximum}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None
        if value < minimum or (maximum is not None and value > maximum):
            raise argparse.ArgumentTypeError(f"{value} is out of range ({bounds})")
        return value

    return parse


def number(minimum: float, maximum: float) -> Callable[[str], float]:
    """An argparse type: a number from `minimum` to `maximum`; NaN and infinity are none."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{text} is out of range ({minimum:g} to {maximum:g})")
        return value

    return parse


def refuse_folder(out: str | os.PathLike[str] | None, name: str) -> None:
    """Refuses an `--out` that is a folder where a file is meant, before hours of work end in that error.

    Raises:
        ConfigError: it is; `name` is a file's name to propose.
    """
    if out is not None and os.path.isdir(out):
        raise ConfigError("a folder, not a file", where=out, remedy=f"--out {os.path.join(out, name)}")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Adds `--selection`, for commands that caption."""
    parser.add_argument(
        "--selection",
        choices=["probability", "minimum_risk", "content"],
        help="which of the beam's captions is best: the most probable, the one the others agree with most, or the one "
        "whose n-grams the features foretell (default: the captioner's)",
    )


def add_strategy(parser: argparse.ArgumentParser) -> None:
    """Adds `--strategy`, for commands that work on many devices (`training.distribution.make_strategy`)."""
    choices = ["auto", "mirrored", "multiworker"]
    parser.add_argument("--strategy", choices=choices, default="auto", help="devices (default: auto)")


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """The options of a parser, every spelling."""
    return list(parser._option_string_actions)


def _children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _reword(message: str) -> str:
    """Adds the nearest choice to argparse's "invalid choice" (its wording differs between Python versions)."""
    found = re.match(
        r"(?:argument (?P<name>.*?): )?invalid choice: '(?P<word>.*?)'.*\(choose from (?P<known>.*)\)", message
    )
    if not found:
        return message
    known = [choice.strip().strip("'") for choice in found["known"].split(",")]
    near = nearest(found["word"], known)
    name = found["name"] or "the command"
    hint = f"did you mean '{near}'?" if near else "choose from " + ", ".join(known)
    return textwrap.shorten(f"'{found['word']}' is not a choice for {name}: {hint}", 400)


_COMMON: dict[str, dict[str, Any]] = {
    "--seed": {
        "type": integer(0, 2**31 - 1),
        "metavar": "N",
        "default": argparse.SUPPRESS,
        "help": "seed of everything random (default: the command's own)",
    },
    "--json": {
        "action": "store_true",
        "default": argparse.SUPPRESS,
        "help": "print one JSON document on standard output",
    },
    "--quiet": {"action": "store_true", "default": argparse.SUPPRESS, "help": "no progress, only results and errors"},
    "--debug": {"action": "store_true", "default": argparse.SUPPRESS, "help": "show the stack trace of a failure"},
}
