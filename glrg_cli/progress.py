"""Progress of long work: bars with rate and ETA on a terminal, plain lines at growing intervals elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

FIRST_LINE_AFTER = 5.0  # seconds: what ends sooner needs no progress line
LONGEST_SILENCE = 60.0  # seconds: a log of a long run still shows that it lives


class Progress:
    """The progress of one piece of work; a context manager.

    Args:
        total: how many units there are; None when unknown.
    """

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self.done = 0

    def update(self, n: int = 1, **fields: object) -> None:
        """Counts `n` more units done; `fields` are shown beside them (`loss=2.31`)."""
        self.done += n

    def close(self) -> None:
        """Ends the display; called by leaving the block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SilentProgress(Progress):
    """Counts and shows nothing (`--quiet`)."""


class PlainProgress(Progress):
    """One line after five seconds, then at intervals that double up to a minute, and one at the end.

    Args:
        say: prints a line.
        total: how many units there are; None when unknown.
        description: what is being done.
        unit: what is counted.
        clock: seconds, for the tests.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        total: int | None,
        description: str,
        unit: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(total)
        self._say, self._description, self._unit, self._clock = say, description, unit, clock
        self._start = clock()
        self._interval = FIRST_LINE_AFTER
        self._next = self._start + self._interval
        self._fields: dict[str, object] = {}
        self._shown = False

    def update(self, n: int = 1, **fields: object) -> None:
        """Counts `n` more units; prints a line when one is due."""
        super().update(n, **fields)
        self._fields.update(fields)
        now = self._clock()
        if now >= self._next:
            self._interval = min(2 * self._interval, LONGEST_SILENCE)
            self._next = now + self._interval
            self._shown = True
            self._say(self._line(now))

    def close(self) -> None:
        """Prints the closing line of work that was long enough to be shown."""
        if self._shown:
            self._say(self._line(self._clock()) + f"  in {duration(self._clock() - self._start)}")

    def _line(self, now: float) -> str:
        rate = self.done / max(now - self._start, 1e-9)
        count = f"{self.done}/{self.total}" if self.total else f"{self.done}"
        parts = [f"{self._description}: {count} {self._unit}", f"{compact(rate)} {self._unit}/s"]
        if self.total and 0 < self.done < self.total:
            parts.append(f"ETA {duration((self.total - self.done) / rate)}")
        return "  ".join(parts + [f"{name} {_field(value)}" for name, value in self._fields.items()])


class Bars:
    """The bars on one terminal; several may be open at once (epochs, and the batches within one).

    Args:
        console: a rich console.
    """

    def __init__(self, console: Any) -> None:
        self._console = console
        self._display: Any = None
        self._open = 0

    def add(self, total: int | None, description: str, unit: str) -> Progress:
        """Opens one more bar."""
        if self._display is None:
            self._display = _make_display(self._console)
            self._display.start()
        self._open += 1
        return _Bar(self, self._display, total, description, unit)

    def release(self) -> None:
        """Ends the display when its last bar has closed."""
        self._open -= 1
        if self._open == 0:
            self._display.stop()
            self._display = None


class _Bar(Progress):
    def __init__(self, bars: Bars, display: Any, total: int | None, description: str, unit: str) -> None:
        super().__init__(total)
        self._bars, self._display, self._unit, self._start = bars, display, unit, time.monotonic()
        self._fields: dict[str, object] = {}
        self._closed = False
        self._task = display.add_task(description, total=total, rate="", fields_text="", unit=unit)

    def update(self, n: int = 1, **fields: object) -> None:
        super().update(n, **fields)
        self._fields.update(fields)
        rate = self.done / max(time.monotonic() - self._start, 1e-9)
        text = "  ".join(f"{name} {_field(value)}" for name, value in self._fields.items())
        self._display.update(self._task, advance=n, rate=f"{compact(rate)} {self._unit}/s", fields_text=text)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._display.remove_task(self._task)
            self._bars.release()


def _make_display(console: Any) -> Any:
    from rich import progress

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=24),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[unit]}  {task.fields[rate]}", markup=False),
        progress.TextColumn("ETA", markup=False),
        progress.TimeRemainingColumn(compact=True),
        progress.TextColumn("{task.fields[fields_text]}", markup=False),
        console=console,
        transient=True,
        # What others print would tear the bars; `Console` prints through this same rich console.
        redirect_stdout=False,
        redirect_stderr=False,
    )


def compact(number: float) -> str:
    """A number in few letters: 0.42, 7.1, 123, 4.5k."""
    if number >= 10_000:
        return f"{number / 1000:.0f}k"
    if number >= 1000:
        return f"{number / 1000:.1f}k"
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 1 else f"{number:.2f}"


def duration(seconds: float) -> str:
    """Seconds as 0:07, 12:30 or 1:02:03."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _field(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
