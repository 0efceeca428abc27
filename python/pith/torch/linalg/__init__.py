"""From an FX graph to linalg on tensors, with what pith knows about it as ops and attributes."""
