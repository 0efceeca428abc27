"""The matrix-product generator: packed panels, index stream, register tiles."""
