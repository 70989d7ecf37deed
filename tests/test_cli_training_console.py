"""What `glrg train` shows: epoch lines, the reward panel, and how it stops."""

from __future__ import annotations

import io
import os
import signal

import pytest

from glrg_cli import reward_panel
from glrg_cli.common import Console
from glrg_cli.training_console import ConsoleReporter, Stopper

SPEED = {"tokens_per_second": 41000.0, "seconds": 2.0, "input_wait": 0.0, "loss": 1.0}


def boosting(rewards: list[float], **columns: list[float]) -> list[dict[str, float]]:
    usual = {"advantage_square": 0.04, "ended": 0.99, "length": 8.0, "val_distinct": 30.0, "baseline": 0.3}
    return [
        {"epoch": i + 1.0, "reward": reward, **usual, **{k: v[i] for k, v in columns.items()}, **SPEED}
        for i, reward in enumerate(rewards)
    ]


RISING = [0.33 + 0.01 * i for i in range(15)]


def test_a_healthy_run_is_normal():
    assert reward_panel.abnormal(boosting(RISING)) == []
    names = [reading.name for reading in reward_panel.read(boosting(RISING))]
    assert names[0] == "sampled reward"
    assert len(names) == 5


def test_without_val_the_rest_is_still_read():
    rows = boosting(RISING)
    for row in rows:
        del row["val_distinct"]
    assert len(reward_panel.read(rows)) == 4


@pytest.mark.parametrize(
    ("rewards", "columns", "name", "word"),
    [
        (RISING[::-1], {}, "sampled reward", "fallen"),
        (RISING, {"advantage_square": [0.04 * 0.2**i for i in range(15)]}, "spread of the advantage", "alike"),
        (RISING, {"ended": [0.5] * 15}, "samples that end", "without an end"),
        (RISING, {"length": [8.0 - 0.45 * i for i in range(15)]}, "words a sample", "shrinking"),
        (RISING, {"length": [8.0 + 1.2 * i for i in range(15)]}, "words a sample", "growing"),
        (RISING, {"val_distinct": [max(1.0, 30.0 - 4 * i) for i in range(15)]}, "distinct val captions", "nearly all"),
    ],
)
def test_each_way_to_fail_is_named(rewards, columns, name, word):
    readings = reward_panel.abnormal(boosting(rewards, **columns))
    assert [reading.name for reading in readings] == [name]
    assert word in readings[0].sentence()


def test_the_first_epoch_alone_is_never_alarming():
    assert reward_panel.abnormal(boosting([0.1])) == []


def test_reporter_shows_an_epoch_a_line_and_warns_once():
    errors = io.StringIO()
    console = Console(errors=errors)
    stopper = Stopper(console)
    reporter = ConsoleReporter(console, stopper)
    reporter.phase_started("dr", 0, 150, 10)
    assert stopper.stepping
    rows = boosting(RISING, ended=[0.5] * 15)
    for row in rows:
        for step in range(10):
            reporter.step_done("dr", step + 1, 5000.0)
        reporter.epoch_done("dr", row)
    reporter.phase_finished("dr", "all 15 epochs done", rows[-1])
    text = errors.getvalue()
    assert not stopper.stepping
    assert "dr epoch 15/15  reward 0.470 (baseline 0.300)  41k tokens/s  0:02" in text
    assert text.count("warning: samples that end") == 1
    assert "all 15 epochs done; the captioner of epoch 15 is kept" in text
    assert "verdict" in text


def test_reporter_marks_the_best_validation_score_and_hungry_steps():
    errors = io.StringIO()
    console = Console(errors=errors)
    reporter = ConsoleReporter(console, Stopper(console))
    reporter.phase_started("xe", 0, 20, 10)
    for epoch, score in ((1.0, 0.3), (2.0, 0.2)):
        reporter.epoch_done(
            "xe", {"epoch": epoch, **SPEED, "cross_entropy": 3.5, "val_cider": score, "input_wait": 0.3}
        )
    reporter.close()
    lines = errors.getvalue().splitlines()
    assert "cross-entropy 3.500  val CIDEr 0.300 *  41k tokens/s  waiting for input 30 %" in lines[1]
    assert "val CIDEr 0.200  " in lines[2]


def test_consensus_scores_have_their_own_bar(monkeypatch):
    errors = io.StringIO()
    console = Console(errors=errors)
    reporter = ConsoleReporter(console, Stopper(console))
    for done in (3, 7, 10):
        reporter.consensus_progress(done, 10)
    reporter.phase_started("dxe", 0, 10, 10)
    reporter.close()
    assert "dxe: at most 1 epochs" in errors.getvalue()


def test_the_first_signal_waits_for_the_step_and_the_second_does_not():
    console = Console(errors=io.StringIO())
    before = signal.getsignal(signal.SIGTERM)
    with Stopper(console) as stopper:
        stopper.stepping = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopper()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_of_steps_a_signal_is_immediate():
    with Stopper(Console(errors=io.StringIO())) as stopper, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert not stopper.requested
