"""Formats in pure Python: levels, the dim-to-level map, HighLight's notation, and packing.

- What a format is: ``format``, of ``levels`` whose coordinates are each a ``level_expr``; ``format_check`` says when it
  is legal, ``buffers`` what it stores, ``explain`` both in words. ``diagonals``, ``masks`` and ``matrix_view`` are
  about kinds of them.
- In the literature's notation: ``hss``, of ``rank``; ``hss_check``, ``hss_levels`` (to levels and back), ``highlight``
  (the twelve of the paper), ``whole``.
- As text: ``parse``; ``attribute`` (pith's IR), ``sparse_tensor`` (upstream's). ``layouts``: SciPy's and torch's.
- Tensors to buffers and back: ``pack``, by ``pack_digits`` and ``pack_buffers``; ``pack_read``, ``pack_check``.
- ``prune`` (by a ``threshold``, too), ``validate``, and ``infer``: nested ranks (``infer_ranks``) by ``occupancy`` and
  ``occupancy_listed``.
"""

from .buffers import BufferSpec, buffer_specs, static_entries
from .explain import explain
from .format import DYNAMIC, Format, LevelExpr
from .highlight import HIGHLIGHT, highlight
from .hss import HSS
from .levels import Level
from .rank import Rank
from .sparse_tensor import from_sparse_tensor_encoding, sparse_tensor_encoding

__all__ = [
    "DYNAMIC",
    "HIGHLIGHT",
    "HSS",
    "BufferSpec",
    "Format",
    "Level",
    "LevelExpr",
    "Rank",
    "buffer_specs",
    "explain",
    "from_sparse_tensor_encoding",
    "highlight",
    "sparse_tensor_encoding",
    "static_entries",
]
