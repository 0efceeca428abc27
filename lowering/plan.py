"""Analysis: which lowering each op on encoded data takes, and why (what ``explain()`` prints)."""

import dataclasses

from pith._mlir import ir
from pith.dialect import encoding_of, format_of, shape_of
from pith.formats import Format
from pith.passes.analysis.traversal import defining_op, ops_named

from .epilogue.match import match_batch_epilogue
from .epilogue.names import epilogue_steps
from .module_isa import isa_of
from .panel.windows import match_windows
from .sparse.contraction import analyse, encoded_operands, match_matmul, match_product, why_not_sparse, why_not_upstream
from .sparse.convert_pith_to_sparse_tensor import is_convertible
from .tiled.match import describe, match_tiles


@dataclasses.dataclass(frozen=True)
class OpPlan:
    """The lowering of one ``linalg`` op.

    Attributes:
        location: where the op comes from.
        shape, dtype, format: of the operand that drives the iteration.
        choice: ``tiles``, ``panel``, ``sampled``, ``sparsifier``, ``scalar`` or ``dense`` (decompress, then the
            dense op).
        reason: why.
        fused: what the kernel computes on each result before it is stored, in order.
        row_dim, columns: of a product with a matrix: which dimension of it the result has, and the size of the dense
            operand's own (-1: dynamic; of batches, for each), 1 for a vector; else None.
        argument: number of the function's argument that the operand's first buffer is; None when it is none.
        integers: type of the integers that the operand's real values are stored as, ``i8`` or ``i4``; else None.
        windows: what a product meets the operand with is packed from an image.
    """

    location: str
    shape: tuple[int, ...]
    dtype: str
    format: Format
    choice: str
    reason: str
    fused: tuple[str, ...] = ()
    row_dim: int | None = None
    columns: int | None = None
    argument: int | None = None
    integers: str | None = None
    windows: bool = False


def plan_module(module: ir.Module, path: str) -> list[OpPlan]:
    """Plans of all ``linalg`` ops with encoded operands, in program order; requires the linalg level."""
    generics = [op.opview for op in ops_named(module.operation, "linalg.generic")]
    return [_plan(op, path) for op in generics if encoded_operands(op)]


def _plan(op: ir.OpView, path: str) -> OpPlan:
    encoded = encoded_operands(op)
    if encoding_of(op.results[0].type) is not None:
        return _sampled(op)
    own = [i for i in encoded if not is_convertible(op.operands[i].type)]
    # Beside an operand that only pith can store, those upstream could iterate over are unpacked.
    iterable = own if own and path != "loops" else encoded
    driver = next((i for i in iterable if why_not_sparse(op, i) is None), None)
    operand = op.operands[encoded[0] if driver is None else driver]
    choice, reason = _choose(op, encoded, own, driver, path)
    return OpPlan(
        str(op.location),
        shape_of(operand.type),
        str(operand.type.element_type),
        format_of(operand.type),
        choice,
        reason,
        *_product(op, driver if choice in ("tiles", "panel") else None),
        argument=_first_argument(operand),
        integers=_integers(op, operand),
        windows=any(match_windows(v) is not None for v in list(op.operands)[:2]),
    )


def _first_argument(encoded: ir.Value) -> int | None:
    source = defining_op(encoded, "pith.dequantize", "pith.assemble")
    if source is None:
        return None
    first = source.operands[0]
    if source.name == "pith.dequantize":
        return _first_argument(first)
    return first.arg_number if defining_op(first) is None else None


def _integers(op: ir.OpView, encoded: ir.Value) -> str | None:
    """What a quantised operand holds: its own elements, or those that a ``pith.dequantize`` makes real."""
    source = defining_op(encoded, "pith.dequantize")
    if source is not None:
        return str(source.operands[0].type.element_type)
    held, sums = encoded.type.element_type, op.results[0].type.element_type
    return str(held) if isinstance(held, ir.IntegerType) and isinstance(sums, ir.FloatType) else None


def _product(op: ir.OpView, driver: int | None) -> tuple[tuple[str, ...], int | None, int | None]:
    """Fused steps, row dimension and columns of a product; nothing of them without a ``driver``."""
    if driver is None:
        return (), None, None
    g = analyse(op, driver)
    m = match_product(g) or match_matmul(g)
    if m is None or m.batch is not None:
        return (), None, None
    columns = 1 if m.col is None else shape_of(op.operands[m.dense].type)[g.loops(m.dense).index(m.col)]
    return (() if m.col is None else _fused(op)), m.row_dim, columns


def _sampled(op: ir.OpView) -> OpPlan:
    type_ = op.results[0].type
    reason = "the result has the pattern it is added to: dot products of packed rows and columns, where it stores"
    return OpPlan(str(op.location), shape_of(type_), str(type_.element_type), format_of(type_), "sampled", reason)


def _fused(op: ir.OpView) -> tuple[str, ...]:
    epilogue = match_batch_epilogue(op)
    return epilogue_steps(epilogue) if epilogue else ()


def _choose(op: ir.OpView, encoded: list[int], own: list[int], driver: int | None, path: str) -> tuple[str, str]:
    if driver is None:
        return "dense", f"zeros cannot be skipped: {why_not_sparse(op, (own or encoded)[0])}"
    odd = None if own or path == "loops" else why_not_upstream(op)
    if path == "sparsifier" and not own and not odd:
        return "sparsifier", "sparse_tensor can say the format, and path 'sparsifier' asks for it"
    alone = len(encoded) == 1 or path == "loops" or bool(own)
    tiles = match_tiles(analyse(op, driver), isa_of(op)) if alone else None
    if tiles:
        return "tiles", describe(tiles)
    if alone and match_matmul(analyse(op, driver)):
        return "panel", "a matrix product: packed panels, accumulators in registers"
    if odd:
        return "dense", f"no template of its own, and sparse_tensor cannot iterate over it: {odd}"
    if not own and path != "loops":
        return "sparsifier", "no template of its own, and sparse_tensor can say the format"
    return "scalar", "not a matrix product of numbers, and sparse_tensor cannot say the format or the dynamic shape"
