"""Statically sparse operands: index streams along k, sparse tensor cores, and load sparse, compute dense.

``split`` says which levels of a format are an index stream, ``choose`` how an operand is fed, ``menu`` which tiles
there are; ``stream`` is that axis of k, ``stored`` where its entries lie. ``packed`` (with ``pairs``), ``copied``,
``scattered`` and ``scanned`` are the sources, which ``sources`` makes; ``sparse_mma`` and ``sparse_wgmma`` are the new
bodies.
"""
