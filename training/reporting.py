"""What a run tells its owner. The loop calls a `Reporter`; the command line shows it, tests listen."""

from __future__ import annotations


class Reporter:
    """Silent by default; override what you want to show."""

    def message(self, text: str) -> None:
        """One sentence of progress."""

    def phase_started(self, phase: str, first_step: int, total_steps: int, steps_per_epoch: int) -> None:
        """A phase begins (or resumes) at `first_step` of at most `total_steps`."""

    def step_done(self, phase: str, step: int, tokens: float) -> None:
        """A step ended; `tokens` were trained on. Called after every step: keep it cheap."""

    def epoch_done(self, phase: str, metrics: dict[str, float]) -> None:
        """An epoch ended; `metrics` is its line of metrics.jsonl."""

    def phase_finished(self, phase: str, reason: str, best: dict[str, float]) -> None:
        """A phase ended, why, and the metrics of the epoch its captioner comes from."""

    def consensus_progress(self, done: int, total: int) -> None:
        """Consensus scores are being computed."""
