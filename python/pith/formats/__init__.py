"""Formats in pure Python: levels, the dim-to-level map, HighLight's notation, and packing."""

from .format import DYNAMIC, Format, LevelExpr
from .hss import HSS, Rank
from .levels import Level

__all__ = ["DYNAMIC", "HSS", "Format", "Level", "LevelExpr", "Rank"]
