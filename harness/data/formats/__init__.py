"""Annotations as other tools write them, read into rows; outlines become masks in the cache, originals stay."""
