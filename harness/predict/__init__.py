"""A promoted model on pictures of any size: masks, overlays and tables of objects, in a folder."""
