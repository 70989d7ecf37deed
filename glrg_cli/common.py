"""The console that every command speaks through.

Human text goes to standard error; standard output carries nothing but the one JSON document of `--json`, whatever
the libraries underneath print.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from glrg_cli.progress import Bars, PlainProgress, Progress, SilentProgress


class OutputClosedError(Exception):
    """Whoever read our standard output has gone (`glrg ... | head`)."""


class Console:
    """Text, tables, progress and results of one command.

    Args:
        debug: whether failures show their stack trace.
        quiet: whether information and progress are left out (results, warnings and errors stay).
        json_output: whether `result` prints.
        output: where results go; standard output by default.
        errors: where human text goes; standard error by default.

    Attributes:
        interrupt_note: what `glrg` says when it is interrupted ("state saved; go on with --resume"); a command sets it.
    """

    def __init__(
        self,
        *,
        debug: bool = False,
        quiet: bool = False,
        json_output: bool = False,
        output: TextIO | None = None,
        errors: TextIO | None = None,
    ) -> None:
        self.debug, self.quiet, self.json_output = debug, quiet, json_output
        self.interrupt_note: str | None = None
        self._output = _forgiving(output or sys.stdout)
        self._errors = _forgiving(errors or sys.stderr)
        self._lock = threading.RLock()
        self._bars: Bars | None = None
        self._rich: Any = None

    # === Human text ===
    def info(self, text: str = "") -> None:
        """Prints a line, unless `--quiet`."""
        if not self.quiet:
            self._say(text)

    def warning(self, text: str) -> None:
        """Prints a line that begins with "warning:"."""
        self._say(f"warning: {text}", style="yellow")

    def error(self, text: str) -> None:
        """Prints a line that begins with "error:"."""
        self._say(f"error: {text}", style="red")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Prints a table, columns of numbers to the right. It is a result: only `--quiet` with `--json` drops it."""
        if self.quiet and self.json_output:
            return
        cells = [[_cell(value) for value in row] for row in rows]
        right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
        if not self.on_terminal:
            self._say(plain_table(title, columns, cells, right))
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(title), title_justify="left", box=None, header_style="bold", pad_edge=False)
        for name, numeric in zip(columns, right, strict=True):
            table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
        for row in cells:
            table.add_row(*[Text(cell) for cell in row])
        with self._lock:
            self._terminal().print(table)

    def line(self, text: str) -> None:
        """Prints a line of a result as it comes: only `--quiet` with `--json` drops it."""
        if not (self.quiet and self.json_output):
            self._say(text)

    # === Results ===
    def result(self, value: Any) -> None:
        """Prints `value` as the command's one JSON document when `--json` was given.

        Raises:
            OutputClosedError: the reader of standard output has gone.
        """
        if self.json_output:
            ascii_only = (self._output.encoding or "ascii").lower().replace("-", "") != "utf8"
            self.write(json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, default=_plain))

    def write(self, text: str) -> None:
        """Writes a line to the real standard output.

        Raises:
            OutputClosedError: its reader has gone.
        """
        with self._output_guard():
            self._output.write(text + "\n")

    def flush(self) -> None:
        """Empties the buffer of standard output.

        Raises:
            OutputClosedError: its reader has gone.
        """
        with self._output_guard():
            self._output.flush()

    @contextlib.contextmanager
    def only_results_on_stdout(self) -> Iterator[None]:
        """Sends what anybody else prints (pycocoevalcap does) to standard error while the block runs."""
        with contextlib.redirect_stdout(self._errors):
            yield

    # === Progress ===
    @property
    def on_terminal(self) -> bool:
        """Whether human text is read by a person at a capable terminal."""
        return self._errors.isatty() and os.environ.get("TERM", "") != "dumb"

    def progress(self, total: int | None, description: str, unit: str = "it") -> Progress:
        """A context manager whose `update(n, **fields)` moves a bar with rate and ETA, or prints plain lines elsewhere.

        Args:
            total: how many units there are; None when unknown.
            description: what is being done.
            unit: what is counted, for the rate ("captions", "tokens").

        Example:
            with console.progress(len(videos), "captioning", "videos") as progress:
                progress.update(32, loss=2.1)
        """
        if self.quiet:
            return SilentProgress()
        if not self.on_terminal:
            return PlainProgress(self._say, total, description, unit)
        with self._lock:
            if self._bars is None:
                self._bars = Bars(self._terminal())
            return self._bars.add(total, description, unit)

    def _say(self, text: str, style: str | None = None) -> None:
        text = printable(text)
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):  # nobody listens: work on
            if self.on_terminal:
                from rich.text import Text

                self._terminal().print(Text(text, style=style or ""), soft_wrap=True)
            else:
                self._errors.write(text + "\n")
                self._errors.flush()

    def _terminal(self) -> Any:
        if self._rich is None:
            from rich.console import Console as RichConsole

            self._rich = RichConsole(file=self._errors, highlight=False, markup=False, emoji=False)
        return self._rich

    @contextlib.contextmanager
    def _output_guard(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            # The interpreter flushes once more on its way out and would complain: give it somewhere to write.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._output.fileno())
            raise OutputClosedError from error


def plain_table(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """A table in plain text, columns two blanks apart."""
    rows = [list(columns), *[list(row) for row in cells]]
    widths = [max(display_width(row[i]) for row in rows) for i in range(len(columns))]
    lines = [title] if title else []
    for row in rows:
        padded = []
        for text, width, numeric in zip(row, widths, right, strict=True):
            blanks = " " * (width - display_width(text))
            padded.append(blanks + text if numeric else text + blanks)
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def display_width(text: str) -> int:
    """Columns that `text` takes on a terminal (wide letters take two, combining marks none)."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def printable(text: str) -> str:
    """`text` without control characters: ids and captions come from files and must not drive the terminal."""
    return "".join(
        letter if letter in "\n\t" or unicodedata.category(letter) != "Cc" else f"\\x{ord(letter):02x}"
        for letter in text
    )


def _forgiving(stream: TextIO) -> TextIO:
    # A terminal without utf-8, or a file name with stray bytes, must not end an hour of work.
    if hasattr(stream, "reconfigure"):
        with contextlib.suppress(ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")
    return stream


def _cell(value: object) -> str:
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    return printable(text).replace("\n", " ")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """JSON for numpy's scalars and arrays and for paths, without importing numpy."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
