"""Runs the commands and Python blocks of a page, in order, at a desk."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import re
import shutil
import subprocess
from typing import NamedTuple

from glrg_cli.main import main
from tests.docs import materials, pages, plan, servers


class Step(NamedTuple):
    """A command or a Python block of a page, with what becomes of it."""

    page: str
    line: int
    text: str
    python: bool
    verdict: str  # "run", "slow" or "not run"
    reason: str


def steps(page: str) -> list[Step]:
    """All commands, scripts and Python blocks of a page, in order."""
    found: list[tuple[int, str, bool]] = [(fence.line, fence.text, True) for fence in pages.python_fences(page)]
    for fence in filter(pages.is_shell, pages.fences(page)):
        commands = pages.commands(fence)
        if pages.is_script(commands):
            found.append((fence.line, "\n".join(command.text for command in commands), False))
        else:
            found += [(command.line, command.text, False) for command in commands]
    return [_step(page, *entry) for entry in sorted(found)]


def _step(page: str, line: int, text: str, python: bool) -> Step:
    name = "python:" + text if python else text
    if page not in plan.PAGES:
        return Step(page, line, text, python, "not run", "its page is not in the plan of tests/docs/plan.py")
    for verdict, rules in (("not run", plan.NOT_RUN), ("slow", plan.SLOW)):
        for rule in rules:
            if rule.matches(page, name):
                return Step(page, line, text, python, verdict, rule.reason)
    return Step(page, line, text, python, "run", "")


class Runner:
    """Runs the steps of one page.

    Args:
        folder: the desk's copy; the current folder while a step runs, until one changes it.
        names: of the page's Python blocks, which share them.
    """

    def __init__(self, folder: pathlib.Path, names: dict[str, object]) -> None:
        self._desk, self._folder, self._names = folder, folder, names
        self._made: set[str] = set()

    def run(self, step: Step) -> str:
        """Runs one step; returns "" or what went wrong."""
        before, text = pathlib.Path.cwd(), plan.in_small(step.page, step.text)
        os.chdir(self._folder)
        try:
            if step.python:
                return _python(step._replace(text=text), self._names)
            command = pages.Command(step.page, step.line, text)
            if text.startswith("cd "):
                self._folder = self._folder / text.removeprefix("cd ")
                return "" if self._folder.is_dir() else f"there is no {text.removeprefix('cd ')}"
            self._clear(command)
            if command.is_glrg:
                return run_glrg(command)
            for rule in plan.ASKS:
                if rule.matches(step.page, step.text):
                    with servers.serving(rule.reason.split()) as port:
                        return _shell(text.replace("8501", str(port)), self._desk)
            return _shell(text, self._desk)
        except RuntimeError as error:  # of a server
            return str(error)
        finally:
            os.chdir(before)

    def _clear(self, command: pages.Command) -> None:
        """Takes away what was prepared in the place that the command is about to write, as for who begins anew."""
        if "--resume" in command.text:
            return
        for name in re.findall(r"--out (\S+)", command.text):
            if name not in self._made or command.page in plan.ALTERNATIVES:
                shutil.rmtree(name, ignore_errors=True)
                if not pathlib.Path(name).is_dir():
                    pathlib.Path(name).unlink(missing_ok=True)
            self._made.add(name)


def small(words: list[str]) -> list[str]:
    """The words of a `glrg` command, made small."""
    for name, extra in plan.SMALL.items():
        start = name.split()
        if words[: len(start)] != start or "bundle" in words or "--resume" in words or "--help" in words:
            continue
        for place in range(0, len(extra), 2):
            option, value = extra[place].removeprefix("="), extra[place + 1]
            if option in words and option != "--set":
                words[words.index(option) + 1] = value
            elif not extra[place].startswith("="):
                words = [*words, option, value]
    return words


def run_glrg(command: pages.Command) -> str:
    """Runs a `glrg` line, made small; returns "" or what went wrong."""
    said, result = io.StringIO(), io.StringIO()
    words = small(command.words)
    if words[1] == "serve":
        with servers.serving(words[2:]):
            return ""
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(result):
        code = main(words[1:])
    return "" if code == 0 else f"exit code {code} of `{' '.join(words)}`\n{said.getvalue()[-1500:]}"


def _python(step: Step, names: dict[str, object]) -> str:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(step.text, f"{step.page}:{step.line}", "exec"), names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _shell(text: str, folder: pathlib.Path) -> str:
    words = ["bash", "-o", "pipefail", "-c", text]
    ran = subprocess.run(words, capture_output=True, text=True, env=materials.environment(folder), timeout=600)
    return "" if ran.returncode == 0 else f"exit code {ran.returncode}\n{ran.stderr[-1500:]}"
