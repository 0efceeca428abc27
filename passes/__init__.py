"""Tensor-level passes: analyses and rewrites that keep the program target-independent.

:data:`PASSES` is the explicit table of their names; one pass = one file = one lit file.
"""

from .core import Pass

#: name in a textual pipeline -> "module:Class" (imported when the pass is first named).
PASSES: dict[str, str] = {}

__all__ = ["PASSES", "Pass"]
