"""Encoders: frames in, the three vocabularies out."""
