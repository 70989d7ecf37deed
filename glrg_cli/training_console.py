"""What `glrg train` shows while it runs, and how it stops when it is asked to."""

from __future__ import annotations

import contextlib
import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

from glrg_cli import reward_panel
from glrg_cli.common import Console
from glrg_cli.progress import Progress, compact, duration
from training.reporting import Reporter


class ConsoleReporter(Reporter):
    """Bars for steps and consensus scores, a line an epoch, the reward panel for boosting.

    Args:
        console: where to.
        stopper: told when optimisation steps are under way.
    """

    def __init__(self, console: Console, stopper: Stopper) -> None:
        self._console, self._stopper = console, stopper
        self._stack = contextlib.ExitStack()
        self._bar: Progress | None = None
        self._consensus: Progress | None = None
        self._steps_per_epoch, self._epochs = 1, 1
        self._tokens, self._since = 0.0, 0.0
        self._history: list[dict[str, float]] = []
        self._warned: set[str] = set()
        self._best = -1.0

    def message(self, text: str) -> None:
        """See `Reporter`."""
        self._console.info(text)

    def phase_started(self, phase: str, first_step: int, total_steps: int, steps_per_epoch: int) -> None:
        """See `Reporter`."""
        self._stack.close()
        self._history, self._warned, self._best = [], set(), -1.0
        self._steps_per_epoch, self._epochs = steps_per_epoch, total_steps // steps_per_epoch
        self._console.info(f"{phase}: at most {self._epochs} epochs of {steps_per_epoch} steps")
        if phase == "dr":
            self._console.info("normal while boosting: the reward " + reward_panel.NORMAL_REWARD)
        self._bar = self._console.progress(total_steps - first_step, phase, "steps")
        self._stack.enter_context(self._bar)
        self._tokens, self._since = 0.0, time.monotonic()
        self._stopper.stepping = True

    def step_done(self, phase: str, step: int, tokens: float) -> None:
        """See `Reporter`."""
        if self._bar is not None:
            self._tokens += tokens
            rate = self._tokens / max(time.monotonic() - self._since, 1e-9)
            epoch = (step - 1) // self._steps_per_epoch + 1
            self._bar.update(1, epoch=f"{epoch}/{self._epochs}", **{"tokens/s": compact(rate)})

    def epoch_done(self, phase: str, metrics: dict[str, float]) -> None:
        """See `Reporter`."""
        self._history.append(metrics)
        self._console.info(self._epoch_line(phase, metrics))
        if phase == "dr":
            for reading in reward_panel.abnormal(self._history):
                if reading.name not in self._warned:  # once a phase
                    self._warned.add(reading.name)
                    self._console.warning(reading.sentence())

    def phase_finished(self, phase: str, reason: str, best: dict[str, float]) -> None:
        """See `Reporter`."""
        self.close()
        score = f", val CIDEr {best['val_cider']:.3f}" if "val_cider" in best else ""
        self._console.info(f"{phase}: {reason}; the captioner of epoch {best['epoch']:.0f} is kept{score}")
        if phase == "dr" and self._history:
            columns = ("", "last epochs", "first epochs", "normal", "verdict")
            self._console.table("Boosting", columns, reward_panel.read(self._history))

    def consensus_progress(self, done: int, total: int) -> None:
        """See `Reporter`."""
        if self._consensus is None:
            self._consensus = self._console.progress(total, "consensus scores", "captions")
            self._stack.enter_context(self._consensus)
        self._consensus.update(done - self._consensus.done)
        if done >= total:
            self._stack.close()
            self._consensus = None

    def close(self) -> None:
        """Takes the bars away; called on every way out."""
        self._stopper.stepping = False
        self._stack.close()
        self._bar = self._consensus = None

    def _epoch_line(self, phase: str, metrics: dict[str, float]) -> str:
        parts = [f"{phase} epoch {metrics['epoch']:.0f}/{self._epochs}"]
        if "reward" in metrics:
            parts.append(f"reward {metrics['reward']:.3f} (baseline {metrics['baseline']:.3f})")
        elif "cross_entropy" in metrics:
            parts.append(f"cross-entropy {metrics['cross_entropy']:.3f}")
        else:
            parts.append(f"loss {metrics['loss']:.3f}")
        if "val_cider" in metrics:
            judged = metrics.get("val_beam_cider", metrics["val_cider"])
            mark = " *" if judged > self._best else ""
            self._best = max(self._best, judged)
            parts.append(f"val CIDEr {metrics['val_cider']:.3f}{mark}")
        parts.append(f"{compact(metrics['tokens_per_second'])} tokens/s")
        waited = metrics.get("input_wait", 0.0)
        if waited > 0.1 and waited * metrics["seconds"] > 0.5:
            parts.append(f"waiting for input {100 * waited:.0f} %")
        return "  ".join([*parts, duration(metrics["seconds"])])


class Stopper:
    """Turns the first Ctrl-C (or SIGTERM) during optimisation into "save after this step"; the next one is immediate.

    Used as a context manager, and passed to `train` as its `stop`.

    Args:
        console: where the pending stop is told.
    """

    def __init__(self, console: Console) -> None:
        self.stepping = False
        self.requested = False
        self._console = console
        self._previous: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether the loop should save and stop; it is told from here, for a signal handler must not print."""
        if self.requested:
            self._console.info("stopping: saving the state")
        return self.requested

    def __enter__(self) -> Self:
        """Takes the signals."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            with contextlib.suppress(ValueError):  # not the main thread: whoever runs us handles signals
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self.stepping:
            raise KeyboardInterrupt
        self.requested = True
