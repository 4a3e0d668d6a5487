"""Pictures that show the same thing, found by their pixels: whatever their names, formats, turns or cuts."""
