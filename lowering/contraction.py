"""Analysis: what a ``linalg.generic`` with one encoded operand computes (IR -> dataclass)."""

import dataclasses

from pith._mlir import ir, linalg, tensor
from pith.dialect import encoding_of, format_of, shape_of
from pith.dialect.tiling import bare_dim
from pith.formats import Format
from pith.formats.pack_digits import may_repeat
from pith.passes.analysis.multiply_add import CASTS, multiplies_inputs
from pith.passes.analysis.structured import iterator_types
from pith.passes.analysis.traversal import defining_op, is_zero

from .stored_batch import batch_dim

_ZERO_PRESERVING = ("arith.mulf", "arith.muli", "arith.andi")
_ZERO_UNARY = (
    "arith.extf",
    "arith.truncf",
    "arith.negf",
    "arith.extsi",
    "arith.extui",
    "arith.trunci",
    "arith.sitofp",
    "arith.uitofp",
    "arith.fptosi",
    "arith.fptoui",
)
_ACCUMULATE = ("arith.addf", "arith.addi")
#: Ops f with f(a + b) = f(a) + f(b) in each operand, and what may follow them.
_LINEAR = ("arith.mulf", "arith.muli", "arith.extf", "arith.extsi", "arith.negf", *_ACCUMULATE, "linalg.yield")


@dataclasses.dataclass(frozen=True)
class SparseGeneric:
    """A ``linalg.generic`` that visits one encoded operand.

    Attributes:
        op: the operation.
        sparse: index of the encoded input.
        format: its format.
        maps: per operand (inputs, then the output), the results of its indexing map.
        iterators: ``parallel`` or ``reduction`` per iteration dimension.
        accumulates: True when the body adds a term to the output that vanishes where the
            sparse operand is zero; False when the body's result itself vanishes there.
    """

    op: ir.OpView
    sparse: int
    format: Format
    maps: tuple[tuple[ir.AffineExpr, ...], ...]
    iterators: tuple[str, ...]
    accumulates: bool

    @property
    def inputs(self) -> list[ir.Value]:
        """Input operands."""
        return list(self.op.operands)[: len(self.maps) - 1]

    @property
    def init(self) -> ir.Value:
        """The output operand."""
        return self.op.operands[len(self.maps) - 1]

    @property
    def sparse_dims(self) -> tuple[int, ...]:
        """Iteration dimension per dimension of the sparse operand, whose map is a projected permutation."""
        return tuple(e.position for e in self.maps[self.sparse])

    def dims(self, operand: int) -> tuple[int | None, ...]:
        """Iteration dimension per operand dimension; None where the map is not a bare dimension."""
        return tuple(map(bare_dim, self.maps[operand]))

    def loops(self, operand: int) -> tuple[int, ...]:
        """:meth:`dims` without None: of an operand whose map is a projected permutation, the same."""
        return tuple(d for d in self.dims(operand) if d is not None)


def indexing_maps(op: ir.OpView) -> tuple[tuple[ir.AffineExpr, ...], ...]:
    """Results of each indexing map of a ``linalg.generic``."""
    return tuple(tuple(ir.AffineMapAttr(a).value.results) for a in op.operation.attributes["indexing_maps"])


def encoded_operands(op: ir.OpView) -> list[int]:
    """Indices of the operands that carry a pith encoding."""
    return [i for i, v in enumerate(op.operands) if encoding_of(v.type) is not None]


def why_not_sparse(op: ir.OpView, sparse: int) -> str | None:
    """Why zeros of operand ``sparse`` may not be skipped in ``op``, or None when they may."""
    if len(op.results) != 1:
        return f"it has {len(op.results)} results"
    dims = [bare_dim(e) for e in indexing_maps(op)[sparse]]
    if None in dims or len(set(dims)) != len(dims):
        return "its map of the sparse operand is not a projected permutation"
    if any(o.operation.name == "linalg.index" for o in op.regions[0].blocks[0].operations):
        return "its body uses linalg.index"
    behaviour = _zero_behaviour(op, sparse)
    if behaviour is None:
        return "its result does not vanish where the sparse operand is zero"
    if behaviour == "vanishes" and (_reads_output(op) or "reduction" in iterator_types(op)):
        return "its result vanishes with the sparse operand but depends on the output it overwrites"
    fmt = format_of(op.operands[sparse].type)
    if may_repeat(fmt) and not (behaviour == "accumulates" and _is_linear(op, sparse)):
        return "the format may store an element in several parts, and the op on parts is not the op on their sum"
    return None


def _reads_output(op: ir.OpView) -> bool:
    arguments = op.regions[0].blocks[0].arguments
    return any(True for _ in arguments[len(arguments) - 1].uses)


def _is_linear(op: ir.OpView, sparse: int) -> bool:
    """True when nothing but products with other values and sums touches the sparse operand."""
    block = op.regions[0].blocks[0]
    parts = [block.arguments[sparse]]
    for inner in block.operations:
        taken = [v for v in inner.operands if v in parts]
        if taken and (len(taken) > 1 or inner.operation.name not in _LINEAR):
            return False
        parts += inner.results if taken else []
    return True


def analyse(op: ir.OpView, sparse: int) -> SparseGeneric:
    """The :class:`SparseGeneric` of ``op``; requires ``why_not_sparse(op, sparse) is None``."""
    fmt = format_of(op.operands[sparse].type)
    behaviour = _zero_behaviour(op, sparse)
    return SparseGeneric(op, sparse, fmt, indexing_maps(op), iterator_types(op), behaviour == "accumulates")


def _zero_behaviour(op: ir.OpView, sparse: int) -> str | None:
    """``accumulates``, ``vanishes`` or None; 0 * x is taken as 0 for every x, as in all sparse formats."""
    block = op.regions[0].blocks[0]
    zeros = [block.arguments[sparse]]
    out = block.arguments[len(block.arguments) - 1]
    body = list(block.operations)
    for inner in body[:-1]:
        name, operands = inner.operation.name, list(inner.operands)
        if (name in _ZERO_PRESERVING and any(v in zeros for v in operands)) or (
            name in _ZERO_UNARY and operands[0] in zeros
        ):
            zeros.append(inner.results[0])
    result = body[-1].operands[0]
    if result in zeros:
        return "vanishes"
    producer = None if isinstance(result, ir.BlockArgument) else result.owner
    if producer is None or producer.name not in _ACCUMULATE:
        return None
    lhs, rhs = producer.operands
    return "accumulates" if (lhs == out and rhs in zeros) or (rhs == out and lhs in zeros) else None


@dataclasses.dataclass(frozen=True)
class Matmul:
    """A contraction ``out[row, col] += sparse[row, red] * dense[red, col]``, any side transposed.

    Attributes:
        row_dim, red_dim: which dimension of the sparse tensor is kept and which is contracted.
        dense: index of the dense input.
        dense_transposed: the dense operand is stored ``[col, red]``.
        out_transposed: the output is stored ``[col, row]``.
        row, red, col: the loops; no ``col``: the dense operand is a vector.
        outer: further loops of the dense operand and the output, around the product of two matrices.
        batch: the one of them that the sparse operand has, too: it is a batch of matrices, which ``row_dim`` and
            ``red_dim`` are dimensions of.
    """

    generic: SparseGeneric
    row_dim: int
    red_dim: int
    dense: int
    dense_transposed: bool
    out_transposed: bool
    row: int
    red: int
    col: int | None
    outer: tuple[int, ...] = ()
    batch: int | None = None

    @property
    def is_plain(self) -> bool:
        """True for one product of two matrices."""
        return self.col is not None and not self.outer


def match_matmul(g: SparseGeneric) -> Matmul | None:
    """Recognise a matrix product with one sparse operand and sums of 32 or 64 bits, in any orientation.

    The other operand is a vector, a matrix, or a batch of matrices.
    """
    product = _match(g)
    sums = g.init.type.element_type
    return product if product and str(sums) in ("f32", "f64", "i32", "i64") else None


def match_product(g: SparseGeneric) -> Matmul | None:
    """Recognise a product of two matrices of any element types, in any orientation: the operands may be widened first.

    A padded format may store entries beyond the edge; who takes the product must have zeros for them to meet.
    """
    product = _match(g)
    return product if product and product.is_plain else None


def _match(g: SparseGeneric) -> Matmul | None:
    if len(g.maps) != 3 or g.iterators.count("reduction") != 1 or not g.accumulates:
        return None
    dense = 1 - g.sparse
    a, b, c = g.loops(g.sparse), g.loops(dense), g.loops(2)
    red = g.iterators.index("reduction")
    if any(len(set(g.dims(i))) != len(g.dims(i)) or None in g.dims(i) for i in range(3)):
        return None
    batch = _batch(g)
    stored = tuple(d for d in a if d != batch)
    if len(stored) != 2 or red not in stored or red not in b:
        return None
    if not multiplies_inputs(g.op.regions[0].blocks[0], *CASTS):
        return None
    row = stored[1 - stored.index(red)]
    free = [d for d in b if d != red]
    if row in free or {row, *free} != set(c) or (batch is not None and batch not in free):
        return None
    col = max((d for d in free if d != batch), key=c.index, default=None)
    outer = tuple(d for d in free if d != col)
    turned, out_turned = (False, False) if col is None else (b.index(col) < b.index(red), c.index(col) < c.index(row))
    return Matmul(g, stored.index(row), stored.index(red), dense, turned, out_turned, row, red, col, outer, batch)


def _batch(g: SparseGeneric) -> int | None:
    """The loop over the matrices of a stored batch."""
    stored = g.inputs[g.sparse]
    if defining_op(stored, "pith.dequantize") is not None:
        return None  # its groups count the values of all matrices
    dim = batch_dim(g.format, shape_of(stored.type))
    return None if dim is None else g.loops(g.sparse)[dim]


def zero_filled(v: ir.Value) -> ir.Value | None:
    """The tensor that ``v`` is a zero-filled version of (through reshapes), or None.

    Reshapes between the fill and ``v`` are repeated on its destination, at the insertion point.
    """
    op = defining_op(v)
    if op is None:
        return None
    if op.name == "tensor.collapse_shape":
        inner = zero_filled(op.operands[0])
        if inner is None:
            return None
        return tensor.collapse_shape(v.type, inner, op.attributes["reassociation"])
    if op.name not in ("linalg.fill", "linalg.generic") or len(op.operands) > 2:
        return None
    body = list(op.regions[0].blocks[0].operations)
    if op.name == "linalg.generic" and len(body) > 1:
        return None
    filled = op.operands[0] if op.name == "linalg.fill" else _forwarded(op, body[-1].operands[0])
    return op.operands[len(op.operands) - 1] if filled is not None and is_zero(filled) else None


def _forwarded(op: ir.Operation, v: ir.Value) -> ir.Value | None:
    """The value from outside a generic's body that ``v`` stands for: a capture or a scalar operand."""
    if defining_op(v) is None:
        operand = op.operands[v.arg_number]
        return None if isinstance(operand.type, ir.ShapedType) else operand
    return v


def is_generic(op: ir.OpView) -> bool:
    """True for ``linalg.generic``."""
    return isinstance(op, linalg.GenericOp)
