"""Annotations of other tools, read into rows: one file a format, and what they share."""
