"""Attention on a CPU: index streams of keys and one dense body with online softmax.

``convert_pith_attention`` is the pass, ``emit`` the parallel loop, ``forward`` and ``backward`` what a block of queries
does in it. ``operands`` holds what these share, ``sizes`` names the axes (for GPUs, too), ``cuts`` ends blocks where
sequences end. ``queries`` is a block of queries, ``keys`` the stream that it meets, chunk by chunk in ``meeting``;
``tile`` is the dense body, with its exponential in ``exp2``.
"""
