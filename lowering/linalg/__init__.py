"""Linalg on dense memrefs: products through panels, everything else row by row.

- ``convert_linalg_contractions`` is the pass for products: ``contraction`` recognises them, ``columns`` those with one
  column, ``tensors`` finds their operands. Convolutions of single channels: ``channels`` and ``channel_kernel``.
- ``convert_linalg_to_rows`` is the pass for everything else: ``row_groups`` puts ops into one loop over rows,
  ``row_vectors`` computes along a row, ``row_gathers`` where a body reads tables or loops.
"""
