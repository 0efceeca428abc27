"""Patterns known at run time: detection, gathers, scatters, and tiles of them."""
