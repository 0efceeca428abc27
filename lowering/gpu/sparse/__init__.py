"""Products with tensors stored entry by entry (CSR, CSC, COO, DCSR), and products sampled where a tensor stores."""
