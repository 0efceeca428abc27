"""Workloads whose sparsity is known only at run time: ragged batches, mixtures of experts, inactive neurons."""
