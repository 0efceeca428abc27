"""Statically sparse operands: index streams along k, sparse tensor cores, and load sparse, compute dense.

``split`` says which levels of a format are an index stream, ``choose`` how an operand is fed; ``stream`` is that axis
of k, ``packed``, ``copied``, ``scattered`` and ``scanned`` are the sources, ``sparse_mma`` is the one new body.
"""
