"""Formats in pure Python: levels, the dim-to-level map, HighLight's notation, and packing."""

from .buffers import BufferSpec, buffer_specs, static_entries
from .format import DYNAMIC, Format, LevelExpr
from .hss import HSS, Rank
from .levels import Level

__all__ = ["DYNAMIC", "HSS", "BufferSpec", "Format", "Level", "LevelExpr", "Rank", "buffer_specs", "static_entries"]
