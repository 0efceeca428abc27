"""External tools pith can use when they are there."""
