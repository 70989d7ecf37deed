"""Every `glrg` command line on the pages is one that the parsers take, and every option named there exists."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import re

import pytest

from glrg_cli import main
from glrg_cli.parser import Parser, leaves
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.errors import ConfigError
from tests.docs import pages
from training.config import PhaseConfig, RunConfig
from training.encoder_config import EncoderTraining

# Options of other programs that the pages name.
FOREIGN = {
    *("--runner", "--direct_num_workers", "--direct_running_mode", "--flink_master", "--environment_type"),
    *("--environment_config", "--job_endpoint", "--project", "--region", "--temp_location", "--sdk_container_image"),
    "--signal",
    "--a",
}
PLANNED = {"docs", "test-docs"}  # targets of the Makefile
# Words that the pages use for a value of one's own.
ANYTHING = re.compile(r"…|\.\.\.|['\"]*\$[A-Z_]+['\"]*")


@functools.cache
def parser_of(name: str) -> Parser:
    return main.build_parser(name)


def refused(words: list[str], whole: bool) -> str:
    """ "" where the parser takes the words after `glrg`; else what it says. Not `whole`: required words may lack."""
    if words[0] in ("--help", "--version", "help"):
        return ""
    if words[0] not in main.commands():
        return f"there is no command '{words[0]}'"
    try:
        parser_of(words[0]).parse_strictly(list(words[1:]))
    except ConfigError as error:
        open_end = r"required|expected|'[A-Z|]+' is not a choice"  # what lacks, and KIND for any of the kinds
        return "" if not whole and re.search(open_end, error.what) else error.what
    except SystemExit:  # --help
        return ""
    return ""


def setting_refused(words: list[str]) -> str:
    """ "" where every --set of a training names a setting."""
    for name, value in zip(words, words[1:], strict=False):
        if name != "--set" or words[1] not in ("train", "train-encoder"):
            continue
        key = value.partition("=")[0]
        if key not in (PHASE_SETTINGS if words[1] == "train" else ENCODER_SETTINGS) and key != "KEY":
            return f"there is no setting '{key}'"
    return ""


def names(config: type) -> set[str]:
    return {field.name for field in dataclasses.fields(config)}


PHASE_SETTINGS = names(RunConfig) | {f"model.{key}" for key in names(CaptionerConfig)}
PHASE_SETTINGS |= {f"{phase}.{key}" for phase in ("train", "xe", "dxe", "dr") for key in names(PhaseConfig)}
ENCODER_SETTINGS = names(EncoderTraining)


@pytest.mark.parametrize("page", pages.pages())
def test_commands_are_ones_that_exist(page):
    wrong = []
    for whole, found in ((True, pages.shell_commands(page)), (False, pages.inline_commands(page))):
        for command in found:
            for line in re.findall(r"(?:^|(?<=[\s;&(]))glrg [^\n&;]*", command.text):
                plain = ANYTHING.sub("", line if whole else re.sub(r"(?<=\w)\|[\w|-]+", "", line))  # a of a|b|c
                words = pages.Command(page, command.line, plain).words[1:]
                said = words and (refused(words, whole) or setting_refused(["glrg", *words]))
                if said:
                    wrong.append(f"{page}:{command.line}: {line}: {said}")
    assert not wrong, "\n".join(wrong)


@functools.cache
def known_options() -> set[str]:
    found = set(FOREIGN)
    for name in main.commands():
        for leaf in leaves(parser_of(name)):
            for action in leaf._actions:
                if action.help is not argparse.SUPPRESS:
                    found.update(action.option_strings)
    for room in ("benchmarks", "tests", "training", "export", "glrg_tf", "examples"):
        for script in (pages.ROOT / room).rglob("*.py"):
            found.update(re.findall(r"add_argument\(\s*\"(--[a-z-]+)\"", script.read_text("utf-8")))
    return found


@pytest.mark.parametrize("page", [page for page in pages.pages() if page != "docs/LOG.md"])
def test_options_named_in_the_text_exist(page):
    wrong = [f"{page}:{o.line}: {o.text}" for o in pages.inline_options(page) if o.text not in known_options()]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", [page for page in pages.pages() if page != "docs/LOG.md"])
def test_settings_named_in_the_text_exist(page):
    """`train.compile`, `dr.baseline=loo` and their like."""
    text = pages.text_of(page)
    found = re.findall(r"`((?:model|train|xe|dxe|dr)\.[a-z_]+)(?:=[^`]*)?`", text)
    wrong = [key for key in found if key not in PHASE_SETTINGS and not key.endswith((".py", ".weights"))]
    assert not wrong, f"{page}: {wrong}"


def test_fences_are_closed_and_named():
    for page in pages.pages():
        pages.fences(page)


def test_programs_named_on_the_pages_exist():
    """`python -m benchmarks.…`, `python examples/…` and the targets of `make`."""
    targets = set(re.findall(r"^([a-z-]+):", (pages.ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)) | PLANNED
    wrong = []
    for page in pages.pages():
        text = pages.text_of(page)
        for module in re.findall(r"python -m ((?:benchmarks|tests|training|export)[\w.]*)", text):
            file = pages.ROOT / module.replace(".", "/")
            if not (file.with_suffix(".py").is_file() or (file / "__main__.py").is_file()):
                wrong.append(f"{page}: python -m {module}")
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE):
            if target not in targets:
                wrong.append(f"{page}: make {target}")
    assert not wrong, "\n".join(wrong)
