"""Exported captioners without Python: a C program, and what compiles and runs it."""
