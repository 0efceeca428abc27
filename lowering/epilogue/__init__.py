"""Elementwise ops behind a product, computed where it stores its tiles."""
