"""`glrg completion`: every command and option is in the scripts, and the shells that are here understand them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from glrg_cli import completion, main

ASK_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _glrg; printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    commands = list(completion.read_commands())
    for shell, make in completion.SHELLS.items():
        (folder / shell).write_text(make(commands))
    return folder


def test_reading_the_commands_loads_no_tensorflow():
    code = "import sys; from glrg_cli import completion; n = len(list(completion.read_commands())); "
    code += "assert n > 30; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_command_and_option_is_there(scripts):
    commands = {command.path: command for command in completion.read_commands()}
    assert {name for name, _ in commands[()].children} == set(main.commands())
    text = {shell: (scripts / shell).read_text() for shell in completion.SHELLS}
    for command in commands.values():
        for option in command.options:
            for name in option.names:
                assert name in text["bash"] and name in text["zsh"] and f" {name.lstrip('-')} " in text["fish"] + " "
    assert any(option.choices for option in commands[("train",)].options)
    assert "msrvtt" in commands[("data", "import")].words


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["glrg", "tra"], {"train", "train-encoder", "train-s2vt"}),
        (["glrg", "train", "--da"], {"--data"}),
        (["glrg", "train", "--strategy", "mi"], {"mirrored"}),
        (["glrg", "data", "import", "ms"], {"msrvtt", "msvd"}),
        (["glrg", "--json", "ablate", "base"], {"baseline"}),
        (["glrg", "completion", ""], {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(scripts, typed, expected):
    done = subprocess.run(
        ["bash", "-c", ASK_BASH, "ask", scripts / "bash", *typed], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == expected and done.stderr == ""


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_theirs(scripts, shell):
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    done = subprocess.run([shell, "-n", scripts / shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    if shell == "fish":
        ask = f"source {scripts / 'fish'}; complete -C 'glrg data import ms'"
        done = subprocess.run(["fish", "-c", ask], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["msrvtt", "msvd"]


def test_the_command_prints_one(capsys):
    assert main.main(["completion", "bash"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("complete -o filenames -F _glrg glrg")
    assert main.main(["completion", "fish", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shell"] == "fish"
    assert main.main(["completion", "bsh"]) == 2
    assert "did you mean 'bash'" in capsys.readouterr().err


def test_help_texts_become_one_safe_line():
    assert completion._line('the paper\'s "tables": on any') == "the paper’s tables"
    assert "'" not in completion._line("it's") and "$" not in completion._line("a $b `c`")
