"""Tests of glrg_tf/video."""
