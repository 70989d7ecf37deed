"""Exported captioners: SavedModel, ONNX, serving."""
