"""Attention on a GPU: index streams of keys, a dense body per element type, online softmax in registers.

``problem`` reads the op, ``plan`` picks body and tiles, ``convert`` launches. A block of threads (``block``) owns a
tile of queries of one head (``rows``), walks the tiles of keys that some of them may see (``keys``; lists of them are
made by ``lists``), copied ahead of their use (``staging``), and keeps scores (``softmax``) and sums in the registers of
its body (``mma``, ``fma``; ``body`` says what a kernel asks of it). ``kernel``
is the forward pass, ``gradient`` the backward pass.
"""
