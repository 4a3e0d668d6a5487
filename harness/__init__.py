"""Honest, tracked model search for binary segmentation of small objects."""

import os

__version__ = "0.1.0"

# albumentations asks its home page for newer releases when it is imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
