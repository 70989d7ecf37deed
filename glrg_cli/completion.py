"""`glrg completion SHELL`: what the shell needs to complete commands, options and their choices on the Tab key.

Everything is read off the commands' own parsers, so a new option completes without a word here. The script holds all
answers: pressing Tab starts no Python.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Iterator

from glrg_cli.common import Console

HELP = "let the shell complete commands and options (bash, zsh, fish)"
DESCRIPTION = "Prints a script that lets the shell complete `glrg` on the Tab key."
EXAMPLES = """\
examples:
  source <(glrg completion bash)                                # this shell; for all: into ~/.bashrc
  glrg completion bash > ~/.local/share/bash-completion/completions/glrg
  source <(glrg completion zsh)                                 # or into ~/.zshrc, after compinit
  glrg completion fish > ~/.config/fish/completions/glrg.fish"""


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a command."""

    names: tuple[str, ...]
    about: str
    takes_value: bool
    choices: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Command:
    """A command or subcommand as the shell sees it."""

    path: tuple[str, ...]  # () is `glrg` itself
    options: tuple[Option, ...]
    children: tuple[tuple[str, str], ...]  # name, what it does
    words: tuple[str, ...] = ()  # choices of its positional arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the shell."""
    parser.add_argument("shell", choices=sorted(SHELLS), help="bash, zsh or fish")


def run(args: argparse.Namespace, console: Console) -> int:
    """Prints the script."""
    script = SHELLS[args.shell](list(read_commands()))
    if console.json_output:
        console.result({"shell": args.shell, "script": script})
    else:
        console.write(script.rstrip("\n"))
    return 0


def read_commands() -> Iterator[Command]:
    """Every command of this version, `glrg` first."""
    from glrg_cli import main

    names = main.commands()
    flags = [Option(("-h", "--help"), "show help", False), Option(("-V", "--version"), "show the version", False)]
    yield Command((), tuple(flags), tuple((name, _line(entry[1])) for name, entry in names.items()))
    for name in names:
        yield from _walk(main.build_parser(name), (name,))


def _walk(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[Command]:
    options: list[Option] = []
    words: list[str] = []
    children: list[tuple[str, str]] = []
    parsers: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        choices = tuple(map(str, action.choices)) if action.choices else ()
        if isinstance(action, argparse._SubParsersAction):
            parsers = dict(action.choices)
            about = {entry.dest: entry.help or "" for entry in action._choices_actions}
            children = [(name, _line(about.get(name, ""))) for name in parsers]
        elif action.option_strings:
            takes = action.nargs != 0
            options.append(Option(tuple(action.option_strings), _line(action.help or ""), takes, choices))
        else:
            words += choices
    yield Command(path, tuple(options), tuple(children), tuple(words))
    for name, child in parsers.items():
        yield from _walk(child, (*path, name))


def _line(text: str) -> str:
    """One short line of a help text, safe between the quotes of any shell."""
    first = re.split(r"[;:(]|\. ", " ".join(text.replace("%%", "%").split()))[0]
    return re.sub(r"[^\w .,/%=+’-]", "", first.replace("'", "’")).strip()[:60]


# === bash ===


def _bash(commands: list[Command]) -> str:
    values = [(command, option) for command in commands for option in command.options if option.takes_value]
    lines = [
        "# bash completion of glrg; made by `glrg completion bash`",
        "_glrg() {",
        '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" path="" i',
        "  COMPREPLY=()",
        "  for ((i = 1; i < COMP_CWORD; i++)); do",
        '    case "$path ${COMP_WORDS[i]}" in',
        *_followed(commands, "path"),
        "    esac",
        "  done",
        '  case "$path $before" in',
    ]
    for command, option in values:
        keys = "|".join(f'"{_words(command.path)} {name}"' for name in option.names)
        reply = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$word"))' if option.choices else _BASH_FILES
        lines.append(f"    {keys}) {reply}; return ;;")
    lines += ["  esac", "  local words=''", '  case "$path" in']
    for command in commands:
        names = [name for option in command.options for name in option.names]
        some = " ".join([*(name for name, _ in command.children), *command.words])
        dashed = f"words='{' '.join(names)}'"
        plain = f"words='{some}'" if some else f"{_BASH_FILES}; return"
        lines.append(f'    "{_words(command.path)}") if [[ $word == -* ]]; then {dashed}; else {plain}; fi ;;')
    lines += ["  esac", '  COMPREPLY=($(compgen -W "$words" -- "$word"))', "}"]
    return "\n".join([*lines, "complete -o filenames -F _glrg glrg", ""])


_BASH_FILES = 'COMPREPLY=($(compgen -f -- "$word"))'


def _words(path: tuple[str, ...]) -> str:
    """The path as the scripts hold it: every word with a blank before it."""
    return "".join(f" {word}" for word in path)


def _followed(commands: list[Command], variable: str) -> list[str]:
    """Lines of a `case`, in bash and zsh alike, that follow the words to the command they name."""
    paths = [_words(command.path) for command in commands if command.path]
    return [f'      "{path}") {variable}="{path}" ;;' for path in paths]


# === zsh ===


def _zsh(commands: list[Command]) -> str:
    lines = [
        "#compdef glrg",
        "# zsh completion of glrg; made by `glrg completion zsh`",
        "_glrg() {",
        '  local word="${words[CURRENT]}" before="${words[CURRENT-1]}" place="" i',
        "  local -a entries",
        "  for ((i = 2; i < CURRENT; i++)); do",
        '    case "$place ${words[i]}" in',
        *_followed(commands, "place"),
        "    esac",
        "  done",
        '  case "$place $before" in',
    ]
    for command in commands:
        for option in command.options:
            if option.takes_value:
                keys = "|".join(f'"{_words(command.path)} {name}"' for name in option.names)
                reply = f"compadd -- {' '.join(option.choices)}" if option.choices else "_files"
                lines.append(f"    {keys}) {reply}; return ;;")
    lines += ["  esac", '  case "$place" in']
    for command in commands:
        options = " ".join(_zsh_entry(name, option.about) for option in command.options for name in option.names)
        plain = [_zsh_entry(name, about) for name, about in command.children]
        plain += [_zsh_entry(name, "") for name in command.words]
        rest = f"entries=({' '.join(plain)}); _describe 'glrg' entries" if plain else "_files"
        lines.append(f'    "{_words(command.path)}")')
        lines.append(f"      if [[ $word == -* ]]; then entries=({options}); _describe 'option' entries")
        lines.append(f"      else {rest}; fi ;;")
    return "\n".join([*lines, "  esac", "}", "compdef _glrg glrg", ""])


def _zsh_entry(name: str, about: str) -> str:
    return f"'{name}:{about}'" if about else f"'{name}'"


# === fish ===


def _fish(commands: list[Command]) -> str:
    lines = [
        "# fish completion of glrg; made by `glrg completion fish`",
        "function __glrg_at",
        "  set -l place ''",
        "  for word in (commandline -opc)[2..-1]",
        '    switch "$place $word"',
        *(f"      case '{_words(c.path)}'\n        set place '{_words(c.path)}'" for c in commands if c.path),
        "    end",
        "  end",
        '  test "$place" = "$argv[1]"',
        "end",
    ]
    for command in commands:
        where = f"complete -c glrg -n '__glrg_at \"{_words(command.path)}\"'"
        lines += [f"{where} -f -a '{name}' -d '{about}'" for name, about in command.children]
        lines += [f"{where} -f -a '{name}'" for name in command.words]
        for option in command.options:
            spelt = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
            value = f" -x -a '{' '.join(option.choices)}'" if option.choices else " -r" if option.takes_value else ""
            about = f" -d '{option.about}'" if option.about else ""
            lines.append(f"{where} {spelt}{value}{about}")
    return "\n".join([*lines, ""])


SHELLS: dict[str, Callable[[list[Command]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
