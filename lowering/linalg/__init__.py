"""Linalg on dense memrefs: products through panels, everything else row by row."""
