"""Layers with sparse or small weights, and what puts them in the place of a model's own."""
