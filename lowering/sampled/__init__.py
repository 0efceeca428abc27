"""Dense products sampled where a tensor stores (SDDMM)."""
