"""Ops on encoded operands: what they compute, how stored elements are visited, and lowerings for any format.

``assemble_arguments`` is the first pass: arguments become the buffers of the storage contract. ``contraction`` says
what an op with an encoded operand computes, ``levels`` walks the levels of a stored tensor (the index stream of every
template), ``words`` loads packed coordinates, ``stored_batch`` cuts one matrix out of a batch, ``decompress`` unpacks,
``decompress_groups`` a register of groups at a time where ``groups`` says so.
Two lowerings take whatever has no template of its own: ``template_scalar``, loops over the levels, and upstream's
sparsifier (``convert_pith_to_sparse_tensor``, ``sparsify``).
"""
