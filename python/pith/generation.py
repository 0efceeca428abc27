"""How often stored values were overwritten in place: what was made of them before is stale.

Tensors share values (``A.T``), so copies of all of them are made anew then. :func:`pith.repack` with ``out`` is the
only way to overwrite them.
"""

from __future__ import annotations

_generation = 0


def values_changed() -> None:
    """Make copies of stored values stale: those of some tensor were overwritten."""
    global _generation
    _generation += 1


def generation() -> int:
    """How often stored values were overwritten so far."""
    return _generation
