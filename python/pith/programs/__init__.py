"""GPU programs as plain data: what a launcher needs to know, without MLIR.

The lowering describes a program (:class:`Program`), bundles store it, and the launcher and the emulator run it.
"""

from .program import Launch, Operand, Program
from .sizes import Size, ceildiv, const, dim, scalar
from .tensor_map import TensorMap

__all__ = ["Launch", "Operand", "Program", "Size", "TensorMap", "ceildiv", "const", "dim", "scalar"]
