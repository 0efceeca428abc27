"""Pith-level IR of a product of a dynamic operand, detection included, as one kernel."""

from __future__ import annotations

from ...patterns.kernels import coordinates_type
from ..einsum.ir import FRESH, SUMS, Program, computed
from ..einsum.nest import Listed, nest_of
from ..einsum.text import i64_array, pattern_type, zero


def dynamic_source(operands: tuple[str, str], sparse: int, listed: Listed, element: str) -> str:
    """``lhs,rhs->mn`` of the micro-tiles of one operand that hold anything; where they are too many, nothing is stored.

    Parameters: the row-major operands, the micro-tiles up to which there is a product, ``out``. Result: how many
        micro-tiles there are.
    Args:
        operands: their letters; ``sparse``: the one whose zeros are skipped; ``listed``: its micro-tiles.
    """
    nest, _ = nest_of(operands, "mn", (listed,))
    program = Program(nest, element, FRESH)
    matrix, result, t = f"tensor<?x?x{element}>", f"tensor<?x?x{program.stored}>", SUMS[element]
    buffer, pattern = result.replace("tensor", "memref"), pattern_type(listed)
    axes = [operands[sparse].index(letter) for letter in listed.axes]
    along = f"axes = {i64_array(axes)}, granularity = {i64_array(listed.granularity)}, threshold = 0.0 : f64"
    return f"""func.func @dynamic(%a0: {matrix}, %a1: {matrix}, %most: index, %out: {buffer}) -> index {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant {zero(t)} : {t}
  %nothing = arith.constant {zero(program.stored)} : {program.stored}
  %p0 = "pith.detect"(%a{sparse}) {{{along}}} : ({matrix}) -> {pattern}
  %list = "pith.coordinates"(%p0) : ({pattern}) -> {coordinates_type(len(axes))}
  %count = tensor.dim %list, %c0 : {coordinates_type(len(axes))}
  %few = arith.cmpi ule, %count, %most : index
  scf.if %few {{
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {result}
{computed(program)}  bufferization.materialize_in_destination %res in restrict writable %out
      : ({result}, {buffer}) -> ()
  }}
  return %count : index
}}
"""
