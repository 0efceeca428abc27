"""Elementwise ops behind a product, computed where it stores its tiles.

``match`` finds them, ``values`` emits them, ``names`` says what they are (``bias, gelu``).
"""
