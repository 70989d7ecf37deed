"""Programs that ask a running server, each a single file that needs nothing of this package."""
