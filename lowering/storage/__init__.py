"""Pruning, packing, checking and repacking of stored tensors, as loops over their levels."""
