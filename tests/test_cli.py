"""The `glrg` command itself: finding commands, help, errors as three lines, exit codes, signals, clean output."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from glrg_cli import main as cli
from glrg_cli.parser import Parser, integer, leaves, number
from glrg_tf.errors import CheckpointError, ConfigError, DataError

ROOT = pathlib.Path(__file__).resolve().parents[1]

PROBE = """
import argparse, sys, time
HELP = "does what the test asks"
EXAMPLES = "examples:\\n  glrg probe ok"

def add_arguments(parser):
    sub = parser.add_subparsers(dest="action", required=True)
    for name in ("ok", "import", "refuse", "bug", "mute", "wait", "noise", "many", "open"):
        child = sub.add_parser(name, help=name, epilog="example: glrg probe " + name)
        child.add_argument("--beam", type=int, default=5)
        child.add_argument("--format", choices=["msrvtt", "msvd"])
        child.add_argument("path", nargs="?")

def run(args, console):
    from glrg_tf.errors import DataError
    if args.action == "refuse":
        raise DataError("a caption is empty", where="captions.csv, line 3", remedy="remove the line")
    if args.action == "bug":
        raise ZeroDivisionError("one\\ntwo")
    if args.action == "mute":
        raise ValueError
    if args.action == "wait":
        console.interrupt_note = "state saved"
        sys.stderr.write("waiting\\n"); sys.stderr.flush()
        time.sleep(30)
    if args.action == "noise":
        print("a library prints")
    if args.action == "many":
        for _ in range(100000):
            console.write("x" * 50)
    if args.action == "open":
        open(args.path).read()
    console.info("working")
    console.result({"beam": args.beam, "seed": args.seed, "quiet": args.quiet, "text": "um cão"})
    return 0
"""


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """A made-up command `glrg probe` in a module of its own."""
    (tmp_path / "probe_command.py").write_text(PROBE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(cli.GROUPS, "Test", {"probe": ("probe_command", "does what the test asks")})
    yield tmp_path
    sys.modules.pop("probe_command", None)


def start(probe_folder: pathlib.Path, *words: str, **kwargs) -> subprocess.Popen:
    code = f"""
        import sys; sys.path.insert(0, {str(probe_folder)!r})
        from glrg_cli import main as cli
        cli.GROUPS["Test"] = {{"probe": ("probe_command", "test")}}
        sys.exit(cli.main({list(words)!r}))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **kwargs,
    )


# === Help ===
def test_help_groups_the_commands_and_shows_examples(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for word in ("usage: glrg", "checks", "glrg data import msrvtt", "Exit codes"):
        assert word in text
    assert cli.main(["help"]) == 0


def test_help_lists_only_commands_that_exist(capsys, monkeypatch):
    monkeypatch.setitem(cli.GROUPS, "Test", {"later": ("glrg_cli.not_yet", "comes later")})
    cli.main(["--help"])
    assert "comes later" not in capsys.readouterr().out
    assert cli.main(["later"]) == 2


@pytest.mark.parametrize("name", sorted(cli.commands()))
def test_every_command_teaches_and_takes_the_shared_options(name):
    for leaf in leaves(cli.build_parser(name)):
        text = leaf.format_help()
        assert f"glrg {name}" in (leaf.epilog or ""), f"`{leaf.prog}` has no example"
        for option in ("--seed", "--debug", "--quiet", "--json"):
            assert option in text, f"`{leaf.prog}` lacks {option}"


def test_help_of_one_command(capsys):
    assert cli.main(["checks", "--help"]) == 0
    assert "glrg checks --json" in capsys.readouterr().out
    assert cli.main(["help", "checks"]) == 0
    assert "glrg checks --json" in capsys.readouterr().out


def test_the_list_of_commands_stands_in_columns():
    rows = [line for line in cli.help_text().splitlines() if line.startswith("  ") and "glrg" not in line[:7]]
    starts = {
        len(line) - len(line[2:].split(None, 1)[1]) for line in rows if line[2:].split(None, 1)[0] in cli.commands()
    }
    assert len(starts) == 1 and all(len(line) <= 100 for line in rows)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("glrg 0.")


def test_no_command_shows_the_help_and_is_bad_usage(capsys):
    assert cli.main([]) == 2
    assert "usage: glrg" in capsys.readouterr().err


# === Bad usage: exit 2 and the nearest known name ===
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["chekcs"], "did you mean `glrg checks`?"),
        (["--hlep"], "unknown option '--hlep'"),
        (["probe", "imprt"], "did you mean 'import'?"),
        (["probe", "ok", "--baem", "3"], "did you mean '--beam'?"),
        (["probe", "ok", "--baem=3"], "did you mean '--beam'?"),
        (["probe", "ok", "--format", "msrvt"], "did you mean 'msrvtt'?"),
        (["probe", "ok", "--beam", "many"], "invalid int value"),
        (["probe", "ok", "one", "two"], "unexpected argument 'two'"),
        (["probe", "ok", "--be", "3"], "--be"),
        (["probe"], "required"),
        (["train", "--dta", "x", "--out", "y"], "did you mean '--data'?"),
        (["train", "--out", "y"], "required: --data"),
        (["probe", "ok", "--seed", "-1"], "out of range"),
    ],
)
def test_bad_usage(probe, capsys, words, hint):
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert hint in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


# === Errors ===
def test_a_refusal_is_three_lines_and_its_exit_code(probe, capsys):
    assert cli.main(["probe", "refuse", "--json"]) == 4
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "error: a caption is empty",
        "  where: captions.csv, line 3",
        "  what to do: remove the line",
    ]
    assert captured.out == ""


def test_exit_codes_of_the_error_tree():
    assert (ConfigError("x").exit_code, DataError("x").exit_code, CheckpointError("x").exit_code) == (2, 4, 5)


def test_a_bug_is_one_line_unless_debug(probe, capsys):
    assert cli.main(["probe", "bug"]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "ZeroDivisionError: one" in text
    assert "--debug" in text
    assert cli.main(["probe", "bug", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
    assert cli.main(["probe", "mute"]) == 1


def test_debug_shows_where_a_refusal_was_raised(probe, capsys):
    assert cli.main(["probe", "refuse", "--debug"]) == 4
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "what to do: remove the line" in text


def test_a_file_the_user_named_and_that_is_missing_is_refused_input(probe, capsys, tmp_path):
    assert cli.main(["probe", "open", str(tmp_path / "nothing.json")]) == 4
    assert "nothing.json" in capsys.readouterr().err


# === Output ===
def test_json_is_the_only_thing_on_standard_output(probe, capsys):
    assert cli.main(["probe", "noise", "--json", "--seed", "7"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"beam": 5, "seed": 7, "quiet": False, "text": "um cão"}
    assert "a library prints" in captured.err
    assert "working" in captured.err


def test_without_json_standard_output_is_empty(probe, capsys):
    assert cli.main(["probe", "noise"]) == 0
    assert capsys.readouterr().out == ""


def test_shared_options_may_come_before_the_command(probe, capsys):
    assert cli.main(["--json", "--quiet", "probe", "ok"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["quiet"] is True
    assert captured.err == ""


def test_a_closed_pipe_is_no_failure(probe):
    with start(probe, "probe", "many") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_json_survives_an_ascii_terminal(probe):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with start(probe, "probe", "ok", "--json", env=environment) as process:
        output, _ = process.communicate(timeout=30)
    assert json.loads(output)["text"] == "um cão"


# === Signals ===
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_is_exit_130_and_says_what_was_saved(probe, number):
    with start(probe, "probe", "wait") as process:
        assert process.stderr.readline() == "waiting\n"
        time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "error: interrupted: state saved\n"


# === The parser's own parts ===
def test_integer_bounds():
    parse = integer(1, 10)
    assert parse("10") == 10
    for text in ("0", "11", "1.5", "x"):
        with pytest.raises(Exception, match="whole number|out of range"):
            parse(text)


def test_number_bounds():
    parse = number(0.5, 10)
    assert parse("0.5") == 0.5 and parse("1e1") == 10
    for text in ("0.4", "10.1", "nan", "inf", "x"):
        with pytest.raises(Exception, match="not a number|out of range"):
            parse(text)


def test_a_command_may_define_a_shared_option_itself():
    from glrg_cli.parser import add_common_options

    parser = Parser(prog="glrg x")
    parser.add_argument("--seed", type=int, default=3)
    add_common_options(parser)
    assert parser.parse_strictly([]).seed == 3


def test_python_m_training_is_glrg_train():
    ran = subprocess.run([sys.executable, "-m", "training", "--help"], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0
    assert ran.stdout.startswith("usage: glrg train")
