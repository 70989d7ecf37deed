"""Console, tables and progress as people and pipes see them."""

from __future__ import annotations

import io
import json
import pathlib

import numpy as np
import pytest

from glrg_cli.common import Console, display_width, printable
from glrg_cli.progress import PlainProgress, compact, duration


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_table_in_plain_text_aligns_numbers_to_the_right():
    errors = io.StringIO()
    Console(errors=errors).table("Scores", ("phase", "CIDEr"), [("xe", 38.3), ("dxe", 145.412)])
    assert errors.getvalue() == "Scores\nphase   CIDEr\nxe      38.30\ndxe    145.41\n"


def test_table_counts_wide_letters_and_keeps_rows_on_a_line():
    errors = io.StringIO()
    Console(errors=errors).table("", ("caption", "n"), [("犬が走る", 1), ("a\nb", 22)])
    assert errors.getvalue().splitlines() == ["caption    n", "犬が走る   1", "a b       22"]
    assert display_width("e\u0301") == 1


def test_an_empty_table_shows_its_columns():
    errors = io.StringIO()
    Console(errors=errors).table("None", ("a", "b"), [])
    assert errors.getvalue() == "None\na  b\n"


def test_control_characters_of_a_file_do_not_reach_the_terminal():
    errors = Terminal()
    console = Console(errors=errors)
    console.info("id \x1b[31mred\x9b and [bold]brackets[/bold]")
    console.table("t", ("id",), [("\x1b]0;title\x07",)])
    assert "\x1b[31m" not in errors.getvalue()
    assert "\x1b]0" not in errors.getvalue()
    assert "[bold]brackets[/bold]" in errors.getvalue()
    assert printable("a\x00b\tc") == "a\\x00b\tc"


def test_quiet_keeps_results_warnings_and_errors():
    errors = io.StringIO()
    console = Console(errors=errors, quiet=True)
    console.info("working")
    console.warning("careful")
    console.error("no")
    console.table("t", ("a",), [(1,)])
    with console.progress(10, "x") as progress:
        progress.update(3)
    assert errors.getvalue() == "warning: careful\nerror: no\nt\na\n1\n"


def test_result_takes_numpy_and_paths_and_refuses_nan():
    output = io.StringIO()
    console = Console(output=output, json_output=True)
    console.result({"score": np.float32(0.5), "ids": np.arange(3), "path": pathlib.PurePosixPath("a/b")})
    assert json.loads(output.getvalue()) == {"score": 0.5, "ids": [0, 1, 2], "path": "a/b"}
    with pytest.raises(ValueError, match="JSON"):
        console.result({"score": float("nan")})
    with pytest.raises(TypeError, match="JSON"):
        console.result({"what": object()})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_progress_speaks_at_growing_intervals():
    clock, lines = Clock(), []
    with PlainProgress(lines.append, 600, "train xe", "captions", clock) as progress:
        for second in range(1, 121):
            clock.now = second
            progress.update(5, loss=2.5)
    assert len(lines) == 5  # after 5, 15, 35 and 75 seconds, and the end
    assert lines[0] == "train xe: 25/600 captions  5.0 captions/s  ETA 1:55  loss 2.5"
    assert lines[-1].endswith("600/600 captions  5.0 captions/s  loss 2.5  in 2:00")


def test_short_work_needs_no_progress_line():
    clock, lines = Clock(), []
    with PlainProgress(lines.append, 3, "x", "it", clock) as progress:
        for _ in range(3):
            clock.now += 1
            progress.update()
    assert lines == []


def test_progress_of_unknown_length():
    clock, lines = Clock(), []
    with PlainProgress(lines.append, None, "reading", "rows", clock) as progress:
        clock.now = 10
        progress.update(20)
    assert lines[0] == "reading: 20 rows  2.0 rows/s"


def test_bars_on_a_terminal_nest_and_let_lines_through(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    errors = Terminal()
    console = Console(errors=errors)
    with console.progress(2, "epochs", "epochs") as outer:
        with console.progress(10, "batches", "batches") as inner:
            inner.update(10, loss=0.25)
        console.info("between")
        outer.update(1)
    with console.progress(1, "again") as later:
        later.update()
    assert "between" in errors.getvalue()
    assert outer.done == 1


def test_a_failure_inside_a_bar_leaves_the_terminal_in_order(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    errors = Terminal()
    console = Console(errors=errors)
    with pytest.raises(KeyboardInterrupt), console.progress(2, "x"):
        raise KeyboardInterrupt
    console.error("after")
    assert "after" in errors.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (750, "12:30"), (3723, "1:02:03")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0.421, "0.42"), (7.12, "7.1"), (123.4, "123"), (4567, "4.6k"), (45678, "46k")]
)
def test_compact(number, text):
    assert compact(number) == text
