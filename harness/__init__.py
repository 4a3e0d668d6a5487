"""Honest, tracked model search for binary segmentation of small objects."""

__version__ = "0.1.0"
