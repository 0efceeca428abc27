"""Names of the peers, as reports print them."""

CUBLAS = "cuBLAS (torch.matmul)"
CUSPARSE = "cuSPARSE (torch CSR)"
BSR = "torch BSR"
TRITON_BSR = "Triton block-sparse (torch.sparse._triton_ops)"
CUSPARSELT = "cuSPARSELt (torch semi-structured)"
CUTLASS = "CUTLASS (torch semi-structured)"
FLEX = "FlexAttention"
SDPA = "torch SDPA, mask or causal"
GROUPED = "torch grouped_mm, sorting included"
LOOP = "index_select + mm per expert"
READ = "one read at copy bandwidth"

#: Who is measured.
PITH = "pith"
