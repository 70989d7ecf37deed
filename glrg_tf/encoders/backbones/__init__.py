"""Residual networks of torchvision as functional Keras models, and any classifier of keras.applications."""
