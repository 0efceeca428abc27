"""Index arithmetic and loops, written once for every lowering.

Sizes and offsets are ``int`` while they are known and become SSA values only when they must:
``add(3, 4)`` is ``7``, ``add(v, 0)`` is ``v``. Everything is emitted at the current insertion point.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pith._mlir import arith, bufferization, func, ir, memref, scf, tensor

#: Attribute of an ``scf.for`` that reaches LLVM (``pith-retain-loop-annotations``).
LOOP_ANNOTATION = "llvm.loop_annotation"

_AS_IT_IS = "#llvm.loop_annotation<vectorize = <disable = true>, unroll = <disable = true>>"

#: Attribute of an ``scf.for`` that ``pith-share-loops`` makes a function of.
APART = "pith.apart"

#: An index that is known now, or an SSA value of ``index`` type.
Index = int | ir.Value


def value(x: Index) -> ir.Value:
    """``x`` as an SSA value of ``index`` type."""
    return arith.constant(ir.IndexType.get(), x) if isinstance(x, int) else x


def add(a: Index, b: Index) -> Index:
    """``a + b``."""
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, int) and a == 0:
        return b
    if isinstance(b, int) and b == 0:
        return a
    return arith.addi(value(a), value(b))


def sub(a: Index, b: Index) -> Index:
    """``a - b``."""
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    if isinstance(b, int) and b == 0:
        return a
    return arith.subi(value(a), value(b))


def mul(a: Index, b: Index) -> Index:
    """``a * b``."""
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    if isinstance(a, int):
        a, b = b, a
    if isinstance(b, int) and b in (0, 1):
        return 0 if b == 0 else a
    return arith.muli(value(a), value(b))


def ceildiv(a: Index, b: Index) -> Index:
    """``ceil(a / b)`` for non-negative ``a`` and positive ``b``."""
    if isinstance(a, int) and isinstance(b, int):
        return -(-a // b)
    return arith.ceildivui(value(a), value(b)) if b != 1 else a


def div(a: Index, b: Index) -> Index:
    """``a // b`` for non-negative ``a`` and positive ``b``."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    return arith.divui(value(a), value(b)) if b != 1 else a


def minimum(a: Index, b: Index) -> Index:
    """The smaller of two non-negative indices."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return arith.minui(value(a), value(b))


def maximum(a: Index, b: Index) -> Index:
    """The larger of two non-negative indices."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return arith.maxui(value(a), value(b))


def overlap(first: Index, count: Index, size: Index) -> tuple[Index, Index]:
    """The range of ``i`` below ``count`` for which ``first + i``, which may be negative, is in ``[0, size)``.

    It ends where it begins, or later.
    """
    lo, end = arith.maxsi(value(sub(0, first)), value(0)), value(sub(size, first))
    return lo, arith.maxsi(lo, arith.minsi(value(count), end))


def mod(a: Index, b: Index) -> Index:
    """``a % b`` for non-negative ``a`` and positive ``b``."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    return arith.remui(value(a), value(b)) if b != 1 else 0


def less(a: Index, b: Index) -> ir.Value:
    """``a < b`` for non-negative indices."""
    return arith.cmpi(arith.CmpIPredicate.ult, value(a), value(b))


def apply(expr: ir.AffineExpr, point: Sequence[Index]) -> Index:
    """Value of an affine expression without symbols at ``point`` (non-negative operands of div and mod)."""
    if isinstance(expr, ir.AffineConstantExpr):
        return expr.value
    if isinstance(expr, ir.AffineDimExpr):
        return point[expr.position]
    lhs, rhs = apply(expr.lhs, point), apply(expr.rhs, point)
    for kind, combine in (
        (ir.AffineAddExpr, add),
        (ir.AffineMulExpr, mul),
        (ir.AffineFloorDivExpr, div),
        (ir.AffineCeilDivExpr, ceildiv),
    ):
        if isinstance(expr, kind):
            return combine(lhs, rhs)
    return mod(lhs, rhs)


def dim_size(shaped: ir.Value, dim: int) -> Index:
    """Size of dimension ``dim`` of a tensor or memref value: an int when the type knows it."""
    type_ = shaped.type
    if not type_.is_dynamic_dim(dim):
        return type_.get_dim_size(dim)
    op = memref if isinstance(type_, ir.MemRefType) else tensor
    return op.dim(shaped, value(dim))


def for_loop(
    lo: Index,
    hi: Index,
    body: Callable[..., Any],
    carried: Sequence[ir.Value] = (),
    step: Index = 1,
    rolled: bool = False,
    apart: bool = False,
) -> list[ir.Value]:
    """``scf.for``; ``body(iv, *carried)`` returns the next carried values, when there are any.

    Trips of 0 or 1 need no loop. LLVM neither unrolls nor vectorises a loop that is ``rolled``: what is written
    in vectors already, or runs for edges only, gains nothing, and doubles the time compiling takes. A loop that is
    ``apart`` becomes a function: the code around it has the registers that LLVM would keep for it.
    """
    if isinstance(lo, int) and isinstance(hi, int) and isinstance(step, int) and hi - lo <= step:
        if hi > lo:
            made = body(lo, *carried)
            return list(made or ()) if carried else []
        return list(carried)
    loop = scf.ForOp(value(lo), value(hi), value(step), list(carried))
    if rolled:
        loop.operation.attributes[LOOP_ANNOTATION] = ir.Attribute.parse(_AS_IT_IS)
    if apart:
        loop.operation.attributes[APART] = ir.UnitAttr.get()
    with ir.InsertionPoint(loop.body):
        made = body(loop.induction_variable, *loop.inner_iter_args)
        scf.yield_(list(made or ()) if carried else [])
    return list(loop.results)


def by_vectors(extent: Index, width: int, body: Callable[[Index, int], None]) -> None:
    """``body(i, width)`` for every whole vector below ``extent``, then ``body(i, 1)`` for each element left."""
    whole = mul(div(extent, width), width)
    for_loop(0, whole, lambda i: body(i, width), step=width, rolled=True)
    for_loop(whole, extent, lambda i: body(i, 1), rolled=True)


def parallel_loop(extents: Sequence[Index], body: Callable[..., Any], work: Index) -> None:
    """``scf.parallel`` over ``[0, extent)`` per dimension; ``body(*ivs)`` must write disjoint memory.

    ``work`` is about how many scalar operations the whole loop does. The runtime reads it when the
    loop starts: waking threads costs microseconds, so small loops run on the calling thread.
    """
    _expect_work(work)
    zero, one = value(0), value(1)
    n = len(extents)
    loop = scf.ParallelOp([], [zero] * n, [value(e) for e in extents], [one] * n, [])
    block = loop.regions[0].blocks.append(*[ir.IndexType.get()] * n)
    with ir.InsertionPoint(block):
        body(*block.arguments)
        scf.ReduceOp([], 0)


def _expect_work(work: Index) -> None:
    """Tell the runtime library how much the next parallel loop does."""
    _call_runtime("pith_expect_work", [value(work)], [])


def thread_count() -> ir.Value:
    """Threads that a parallel loop gets when it is worth it: known when the kernel runs."""
    (count,) = _call_runtime("pith_get_num_threads", [], [ir.IntegerType.get_signless(32)])
    return arith.index_castui(ir.IndexType.get(), count)


def _call_runtime(name: str, args: Sequence[ir.Value], results: Sequence[ir.Type]) -> Sequence[ir.Value]:
    """Call a function of the runtime library, declaring it in the module if need be."""
    op = ir.InsertionPoint.current.block.owner
    while op.operation.name != "builtin.module":
        op = op.operation.parent
    module_body = op.regions[0].blocks[0]
    if not any(o.operation.name == "func.func" and o.sym_name.value == name for o in module_body.operations):
        with ir.InsertionPoint(module_body):
            func.FuncOp(name, ir.FunctionType.get([a.type for a in args], results), visibility="private")
    return func.CallOp(list(results), name, list(args)).results


def if_else(
    condition: ir.Value,
    then: Callable[[], Sequence[ir.Value] | None],
    otherwise: Callable[[], Sequence[ir.Value] | None] | None = None,
    types: Sequence[ir.Type] = (),
) -> list[ir.Value]:
    """``scf.if``; both branches return values of ``types``."""
    op = scf.IfOp(condition, list(types), has_else=otherwise is not None)
    with ir.InsertionPoint(op.then_block):
        scf.yield_(list(then() or ()))
    if otherwise is not None:
        with ir.InsertionPoint(op.else_block):
            scf.yield_(list(otherwise() or ()))
    return list(op.results)


def only_if(condition: ir.Value | None, then: Callable[[], Any]) -> None:
    """``scf.if`` without results; a condition of None always holds. What ``then`` returns does not matter."""

    def run() -> None:
        then()

    if condition is None:
        run()
    else:
        if_else(condition, run)


def while_loop(
    carried: Sequence[ir.Value], condition: Callable[..., ir.Value], body: Callable[..., Sequence[ir.Value]]
) -> list[ir.Value]:
    """``scf.while``: ``body(*carried)`` returns the next carried values while ``condition(*carried)`` holds."""
    types = [v.type for v in carried]
    op = scf.WhileOp(types, list(carried))
    before, after = op.before.blocks.append(*types), op.after.blocks.append(*types)
    with ir.InsertionPoint(before):
        scf.condition(condition(*before.arguments), list(before.arguments))
    with ir.InsertionPoint(after):
        scf.yield_(list(body(*after.arguments)))
    return list(op.results)


def product(factors: Sequence[Index]) -> Index:
    """The product of sizes."""
    out: Index = 1
    for f in factors:
        out = mul(out, f)
    return out


def alloc(shape: Sequence[Index], element: ir.Type) -> ir.Value:
    """A new memref on a 64-byte boundary: vectors of a packed row never straddle a cache line."""
    dynamic = ir.ShapedType.get_dynamic_size()
    type_ = ir.MemRefType.get([s if isinstance(s, int) else dynamic for s in shape], element)
    return memref.alloc(type_, [s for s in shape if not isinstance(s, int)], [], alignment=64)


def buffer_of(dense: ir.Value, read_only: bool = True) -> ir.Value:
    """A tensor without encoding as a memref, to read from unless said otherwise."""
    type_ = ir.MemRefType.get(dense.type.shape, dense.type.element_type)
    return bufferization.to_buffer(type_, dense, read_only=read_only)


def integers(values: Sequence[int], element: ir.Type) -> ir.Value:
    """A constant vector of integers."""
    type_ = ir.VectorType.get([len(values)], element)
    return arith.constant(type_, ir.DenseElementsAttr.get([ir.IntegerAttr.get(element, v) for v in values], type_))


def zero_of(type_: ir.Type) -> ir.Value:
    """The zero of an integer, index or floating-point type."""
    if isinstance(type_, (ir.IntegerType, ir.IndexType)):
        return arith.constant(type_, 0)
    return arith.constant(type_, 0.0)


def load_index(buffer: ir.Value, at: Index) -> ir.Value:
    """Load an unsigned integer of any width as an ``index``."""
    loaded = memref.load(buffer, [value(at)])
    return loaded if isinstance(loaded.type, ir.IndexType) else arith.index_castui(ir.IndexType.get(), loaded)


def bits_of(element: ir.Type) -> int:
    """Bits of an element in memory or registers; an ``index`` is a word of 64."""
    return 64 if isinstance(element, ir.IndexType) else element.width  # type: ignore[attr-defined]
