"""Formats in pure Python: levels, the dim-to-level map, HighLight's notation, and packing."""

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
