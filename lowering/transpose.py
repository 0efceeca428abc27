"""Transposing copies between memrefs, through square tiles held in vector registers."""

from collections.abc import Callable, Sequence

from pith._mlir import ir, memref, vector

from . import builder as b
from .builder import Index
from .module_isa import isa_of

#: ``at(i, j)``: the memref indices of row ``i``, column ``j``.
At = Callable[[Index, Index], list[ir.Value]]

#: ``transform(value, at)``: what to store at target indices ``at``, given a scalar or a vector of source elements.
Transform = Callable[[ir.Value, Sequence[Index]], ir.Value]

#: The first index of a range, and one past the last.
Span = tuple[Index, Index]

#: Bytes of one row of a register tile: 8 x 8 f32 or 4 x 4 f64, 8 AVX2 registers.
TILE_BYTES = 32


def copy_transposed(
    source: ir.Value,
    source_at: At,
    target: ir.Value,
    target_at: At,
    rows: Index,
    cols: Index,
    transform: Transform = lambda value, at: value,
) -> None:
    """``target[j, i] = transform(source[i, j])`` for ``i < rows`` and ``j < cols``.

    Both memrefs are contiguous along their last index. What whole register tiles do not cover is
    copied one element at a time; ``transform`` sees vectors along the target's last index, and scalars.
    """
    element = source.type.element_type

    def tile(i: Index, j: Index, width: int) -> None:
        if width == 1:
            at = target_at(j, i)
            memref.store(transform(memref.load(source, source_at(i, j)), at), target, at)
            return
        type_ = ir.VectorType.get([width], element)
        loaded = [vector.load(type_, source, source_at(b.add(i, r), j)) for r in range(width)]
        for c, column in enumerate(transpose_registers(loaded)):
            at = target_at(b.add(j, c), i)
            vector.store(transform(column, at), target, at)

    _cover((0, rows), (0, cols), _widths(element), tile)


def _widths(element: ir.Type) -> list[int]:
    """Sides of register tiles, the largest first; what they leave is copied by the next."""
    width = tile_width(element)
    wide = isa_of(ir.InsertionPoint.current.block.owner).vector_registers >= 32
    return [2 * width, width, 1] if wide else [width, 1]


def _cover(rows: Span, cols: Span, widths: Sequence[int], tile: Callable[[Index, Index, int], None]) -> None:
    """Square tiles of the first of ``widths``, and around them of the others."""
    width, *rest = widths
    (i0, i1), (j0, j1) = rows, cols
    if rest:
        whole_i, whole_j = (b.add(lo, b.mul(b.div(b.sub(hi, lo), width), width)) for lo, hi in (rows, cols))
        _nest(i0, whole_i, j0, whole_j, width, lambda i, j: tile(i, j, width))
        _cover((i0, whole_i), (whole_j, j1), rest, tile)
        _cover((whole_i, i1), cols, rest, tile)
    else:
        _nest(i0, i1, j0, j1, width, lambda i, j: tile(i, j, width))


def _nest(i0: Index, i1: Index, j0: Index, j1: Index, step: int, body: Callable[[Index, Index], None]) -> None:
    def line(i: Index) -> None:
        b.for_loop(j0, j1, lambda j: body(i, j), step=step, rolled=True)

    b.for_loop(i0, i1, line, step=step, rolled=True)


def tile_width(element: ir.Type) -> int:
    """Elements of ``element`` type along one side of a register tile."""
    return TILE_BYTES // (8 if isinstance(element, ir.F64Type) else 4)


def transpose_registers(rows: list[ir.Value]) -> list[ir.Value]:
    """Transpose n vectors of n lanes (n a power of two) in log2(n) rounds of two-operand shuffles.

    Round ``s`` exchanges the off-diagonal ``s x s`` blocks of every ``2s x 2s`` block.
    """
    n = len(rows)
    lanes = range(n)
    s = 1
    while s < n:
        low = [lane if not lane & s else n + (lane ^ s) for lane in lanes]
        high = [lane | s if not lane & s else n + lane for lane in lanes]
        out = list(rows)
        for i in range(n):
            if not i & s:
                out[i] = vector.shuffle(rows[i], rows[i | s], low)
                out[i | s] = vector.shuffle(rows[i], rows[i | s], high)
        rows = out
        s *= 2
    return rows
