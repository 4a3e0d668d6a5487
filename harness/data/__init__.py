"""Samples: found, read, audited, split, cached, cropped, augmented, loaded."""
