"""Instructions of x86: what pith's and MLIR's ops on vectors and tiles become, and loops that stand in for them.

``convert_pith_vectors_to_llvm`` (permutations, dot products) and ``convert_x86_tiles_to_llvm`` (AMX, helped by
``tiles``) are conversions; ``emulate_x86`` and ``emulate_dot`` compute the same on any processor.
"""
