"""Foreign checkpoints to captioners."""
