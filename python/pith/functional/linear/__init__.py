"""``pith.linear``: products with an epilogue."""
