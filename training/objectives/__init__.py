"""XE, DXE and DR: one object with one loss each."""
