"""Training loops: objectives, baselines, schedules, checkpoints, curriculum."""
