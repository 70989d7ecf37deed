"""Reads the pages: their fences, the commands in them, what they say inline, their links and headings."""

from __future__ import annotations

import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What begins a command line in a fence without a language; everything else is output, a picture of folders, a file.
PROGRAMS = {
    *("glrg", "python", "pip", "make", "source", "export", "cat", "cd", "for", "wait", "curl", "cc", "docker", "git"),
    *("saved_model_cli", "npm", "mkdir", "node", "kubectl", "sbatch", "exec", "eval", "xdg-open", "ls", "head"),
}
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=\S")
_SHELL_WORDS = re.compile(r"""(?<!\S)(?:\||>|<|&&|&|;|>>|2>)(?!\S)|\$\(|\$[A-Za-z_{]|`""")


class Fence(NamedTuple):
    """A fenced block of a page."""

    page: str  # path below the repository's root
    line: int  # of its first line of text
    language: str  # "" where none is named
    text: str


class Command(NamedTuple):
    """One logical line of a shell fence; a run of lines for the shell where they belong together."""

    page: str
    line: int
    text: str  # continuation lines joined, comment at the end removed

    @property
    def words(self) -> list[str]:
        """The words of a `glrg` line, up to what belongs to the shell (a pipe, a redirection)."""
        plain = self.text
        found = _SHELL_WORDS.search(plain)
        if found and found.group() in ("|", ">", "&&", "&", ";", ">>", "2>"):
            plain = plain[: found.start()]
        try:
            return shlex.split(plain)
        except ValueError:  # a piece of a longer line of the shell
            return plain.replace("'", " ").split()

    @property
    def is_glrg(self) -> bool:
        """Whether it starts our command, and nothing of the shell's stands in it."""
        return self.text.startswith("glrg ") and not _SHELL_WORDS.search(self.text)


def pages() -> list[str]:
    """The pages for people, README first."""
    found = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))
    papers = [name for name in ("CONTRIBUTING.md", "SECURITY.md") if (ROOT / name).is_file()]
    return ["README.md", *papers, *found]


def text_of(page: str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text("utf-8")


def fences(page: str) -> list[Fence]:
    """The fenced blocks of a page, in order."""
    found: list[Fence] = []
    language, start, lines, indent = None, 0, [], ""
    for number, line in enumerate(text_of(page).splitlines(), 1):
        mark = re.match(r"( *)```+ *([\w+-]*)", line)
        if language is None and mark:
            indent, language, start, lines = mark[1], mark[2], number + 1, []
        elif language is not None and line.strip().startswith("```"):
            found.append(Fence(page, start, language, "\n".join(lines)))
            language = None
        elif language is not None:
            lines.append(line.removeprefix(indent))
    if language is not None:
        raise ValueError(f"{page}: the fence of line {start} is not closed")
    return found


def is_shell(fence: Fence) -> bool:
    """Whether the fence holds commands: its language says so, or it has none and its first line is one."""
    if fence.language in ("sh", "bash", "shell", "console"):
        return True
    if fence.language or not fence.text.strip():
        return False
    first = next(line for line in fence.text.splitlines() if line.strip() and not line.startswith("#"))
    first = first.removeprefix("$ ")
    return first.split()[0] in PROGRAMS or bool(_ASSIGNMENT.match(first))


def commands(fence: Fence) -> list[Command]:
    """The commands of a shell fence. Where some lines begin with `$ ` the others are output."""
    numbered = list(enumerate(fence.text.splitlines(), fence.line))
    if any(line.startswith("$ ") for _, line in numbered):
        numbered = [(number, line[2:]) for number, line in numbered if line.startswith("$ ")]
    found: list[Command] = []
    while numbered:
        number, line = numbered.pop(0)
        while line.endswith("\\") and numbered:
            line = line[:-1].rstrip() + " " + numbered.pop(0)[1].strip()
        here = re.search(r"<<-?'?(\w+)'?", line)
        while here and numbered:
            _, more = numbered.pop(0)
            line += "\n" + more
            if more.strip() == here[1]:
                break
        line = line if here else _without_comment(line)
        if line.strip():
            found.append(Command(fence.page, number, line.strip()))
    return found


def is_script(commands: list[Command]) -> bool:
    """Whether the commands of a fence belong together: one sets a variable that others use."""
    return any(_ASSIGNMENT.match(command.text) for command in commands)


def python_fences(page: str) -> list[Fence]:
    """The Python blocks of a page."""
    return [fence for fence in fences(page) if fence.language in ("python", "py")]


def shell_commands(page: str) -> list[Command]:
    """All commands of a page's fences, in order."""
    return [command for fence in fences(page) if is_shell(fence) for command in commands(fence)]


def inline_commands(page: str) -> list[Command]:
    """Commands named in the text: `glrg …` between backticks."""
    found = []
    for number, line in _prose(page):
        for text in re.findall(r"`(glrg [^`]+)`", line):
            found.append(Command(page, number, text))
    return found


def inline_options(page: str) -> list[Command]:
    """Options named in the text: `--name`, alone or with a value."""
    return [
        Command(page, number, option)
        for number, line in _prose(page)
        for text in re.findall(r"`([^`]*)`", line)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]*", text)
    ]


def links(page: str) -> Iterator[tuple[int, str]]:
    """Line and target of every link and picture of a page."""
    for number, line in _prose(page):
        for target in re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", line):
            yield number, target


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them (they agree on plain words)."""
    found = set()
    for _, line in _prose(page):
        heading = re.match(r"#+ +(.*)", line)
        if heading:
            plain = re.sub(r"[`*_]|\]\(.*?\)|\[", "", heading[1]).strip().lower()
            found.add(re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", plain)))
    return found


def _prose(page: str) -> Iterator[tuple[int, str]]:
    """Numbered lines outside of fences."""
    inside = False
    for number, line in enumerate(text_of(page).splitlines(), 1):
        if line.strip().startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def _without_comment(line: str) -> str:
    quote = ""
    for place, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (place == 0 or line[place - 1].isspace()):
            return line[:place].rstrip()
    return line
