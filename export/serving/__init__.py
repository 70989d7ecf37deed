"""Serving: `glrg serve`, and the files TF Serving wants beside a SavedModel."""
