"""`glrg train --dry-run`: what would be trained, how much of it, and how long it takes on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glrg_cli.common import Console
from glrg_cli.dry_run import about
from glrg_tf import config as settings

if TYPE_CHECKING:
    from training.curriculum import TrainingPlan
    from training.estimate import PhaseTime


def show(plan: TrainingPlan, splits: dict[str, tuple[int, int]], console: Console) -> None:
    """Times a few steps of every phase and prints the plan; nothing is written.

    Args:
        plan: checked.
        splits: videos and captions by split.
        console: where to.
    """
    from training.estimate import estimate

    text = ", ".join(f"{name} {videos} videos with {captions} captions" for name, (videos, captions) in splits.items())
    console.info(f"{plan.dataset.name}: {text}; seed {plan.seed}; nothing was written")
    with console.progress(len(plan.phases), "timing a few steps", "phases") as bar:
        times = estimate(plan, lambda phase: bar.update(1))
    rows = []
    for time in times:
        chosen = plan.config.phase(time.phase)
        videos = min(chosen.batch_size, splits["train"][0])
        rate = f"{chosen.learning_rate:g}"
        row = [time.phase, time.epochs, time.steps, videos, chosen.captions_per_video, rate]
        rows.append([*row, f"{time.step:.2f} s", about(time.seconds)])
    columns = ["phase", "epochs at most", "steps an epoch", "videos a step", "captions a video", "learning rate"]
    console.table(f"Plan for {plan.run}", [*columns, "a step", "takes about"], rows)
    total = sum(time.seconds for time in times)
    console.info(f"about {about(total)} on this machine as busy as it is now, less where a phase stops early")
    console.result(
        {
            "run": str(plan.run),
            "data": str(plan.dataset.folder),
            "phases": list(plan.phases),
            "seed": plan.seed,
            "start": plan.start,
            "splits": {name: {"videos": v, "captions": c} for name, (v, c) in splits.items()},
            "seconds": {time.phase: round(time.seconds, 1) for time in times},
            "steps": {time.phase: _timing(time) for time in times},
            "settings": settings.to_dict(plan.config),
        }
    )


def _timing(time: PhaseTime) -> dict[str, float]:
    return {
        "epochs": time.epochs,
        "steps": time.steps,
        "step_s": round(time.step, 4),
        "val_s": round(time.validation, 3),
    }
