"""Decompositions that the import adds to torch-mlir's: ops it does not lower, as ops it does."""
