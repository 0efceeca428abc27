"""``pith.sddmm``: products sampled where a tensor stores."""
