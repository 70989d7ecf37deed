"""Runs the commands and Python blocks of a page, in order, at a desk."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from typing import NamedTuple

from glrg_cli.main import main
from tests.docs import pages, plan


class Step(NamedTuple):
    """A command or a Python block of a page, with what becomes of it."""

    page: str
    line: int
    text: str
    python: bool
    verdict: str  # "run", "slow" or "not run"
    reason: str


def steps(page: str) -> list[Step]:
    """All commands and Python blocks of a page, in order."""
    found = [(command.line, command.text, False) for command in pages.shell_commands(page)]
    found += [(fence.line, fence.text, True) for fence in pages.python_fences(page)]
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
        folder: the desk's copy; the current folder while a step runs.
        names: of the page's Python blocks, which share them.
    """

    def __init__(self, folder: pathlib.Path, names: dict[str, object]) -> None:
        self._folder, self._names = folder, names
        self._made: set[str] = set()

    def run(self, step: Step) -> str:
        """Runs one step; returns "" or what went wrong."""
        before = pathlib.Path.cwd()
        os.chdir(self._folder)
        try:
            if step.python:
                return _python(step, self._names)
            command = pages.Command(step.page, step.line, step.text)
            self._clear(command)
            return run_glrg(command) if command.is_glrg else _shell(command)
        finally:
            os.chdir(before)

    def _clear(self, command: pages.Command) -> None:
        """Takes away what was prepared in the place that the command is about to write, as for who begins anew."""
        words = command.words if command.is_glrg else []
        if "--out" not in words[:-1] or "--resume" in words:
            return
        name = words[words.index("--out") + 1]
        if name not in self._made and words.count(name) == 1:
            shutil.rmtree(name, ignore_errors=True)
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
        return _serve(words)
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(result):
        code = main(words[1:])
    return "" if code == 0 else f"exit code {code} of `{' '.join(words)}`\n{said.getvalue()[-1500:]}"


def _serve(words: list[str]) -> str:
    """Starts a server in a process of its own, waits until it is ready, stops it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": str(pages.ROOT)}
    command = [sys.executable, "-m", "glrg_cli", *words[1:], "--port", str(port)]
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
                if answer.status == 200:
                    server.send_signal(signal.SIGTERM)
                    code = server.wait(60)
                    return "" if code in (0, 130) else f"ended with {code}"
            if server.poll() is not None:
                break
            time.sleep(1)
        server.kill()
        return f"never ready\n{server.communicate()[1][-1500:]}"
    finally:
        server.kill()


def _python(step: Step, names: dict[str, object]) -> str:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(step.text, f"{step.page}:{step.line}", "exec"), names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _shell(command: pages.Command) -> str:
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(pages.ROOT)}
    ran = subprocess.run(["bash", "-c", command.text], capture_output=True, text=True, env=env, timeout=300)
    return "" if ran.returncode == 0 else f"exit code {ran.returncode}\n{ran.stderr[-1500:]}"
