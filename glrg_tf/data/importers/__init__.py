"""One file per foreign annotation format."""
