"""Formats in pure Python: levels, the dim-to-level map, HighLight's notation, and packing."""

from .buffers import BufferSpec, buffer_specs, static_entries
from .explain import explain
from .format import DYNAMIC, Format, LevelExpr
from .highlight import HIGHLIGHT, highlight
from .hss import HSS
from .levels import Level
from .rank import Rank

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
    "highlight",
    "static_entries",
]
