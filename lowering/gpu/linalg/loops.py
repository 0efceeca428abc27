"""Structured ops as loop nests on device buffers: which loops may be one, and what a point of them reads and writes."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, memref
from pith.dialect.tiling import dims_of
from pith.passes.analysis.structured import Structured
from pith.passes.analysis.traversal import constant_attribute, defining_op
from pith.passes.core import pass_error

from ... import builder as b
from ...builder import Index
from .arithmetic import emit_scalar


@dataclasses.dataclass(frozen=True)
class Nest(Structured):
    """A structured op on tensors as a loop nest on device buffers.

    Attributes:
        groups: loops that every operand sees side by side are one loop here: row-major memory is one line to them.
    """

    groups: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(op: ir.OpView) -> "Nest":
        """The loops of any linalg op with a body."""
        seen = Structured.of(op)
        if seen is None:
            pass_error(op, "has no GPU lowering: expects a linalg op with a body")
        groups = _groups(seen.maps, seen.iterators, _counted(op.operation))
        return Nest(**seen.fields(), groups=groups)

    @property
    def operands(self) -> tuple[ir.Value, ...]:
        """Inputs, then inits."""
        return (*self.inputs, *self.inits)

    @property
    def results(self) -> int:
        """How many tensors it makes."""
        return len(self.inits)

    def kind(self, group: int) -> str:
        """``parallel`` or ``reduction``."""
        return self.iterators[self.groups[group][0]]

    def reads(self, operand: int) -> bool:
        """True when the body uses this operand."""
        return any(True for _ in self.body.arguments[operand].uses)

    def access(self, operand: int) -> "Access":
        """How this operand is addressed."""
        return Access.of(self.maps[operand], self.groups)

    def last_loop(self, operand: int) -> int | None:
        """The group that walks this operand in steps of one element."""
        exprs = self.access(operand).exprs
        return exprs[-1] if exprs and isinstance(exprs[-1], int) else None

    def sizes(self, buffers: Sequence[ir.Value | None]) -> list[Index]:
        """Extents of the groups, read off the buffers of the operands."""
        found: list[Index | None] = [None] * len(self.groups)
        for operand, buffer in enumerate(buffers):
            if buffer is None or not isinstance(buffer.type, ir.MemRefType):
                continue
            access = self.access(operand)
            for dims, expr in zip(access.groups, access.exprs):
                if isinstance(expr, int) and not isinstance(found[expr], int):
                    found[expr] = b.product([b.dim_size(buffer, d) for d in dims])
        if any(s is None for s in found):
            pass_error(self.op, "has no GPU lowering: a loop has no operand dimension of its own")
        return [s for s in found if s is not None]


@dataclasses.dataclass(frozen=True)
class Access:
    """Addresses of one operand.

    Attributes:
        groups: dimensions of the operand that are one.
        exprs: per group the number of the loop group that walks it, or an expression of the op's own loops.
        loops: the groups of loops.
    """

    groups: tuple[tuple[int, ...], ...]
    exprs: tuple[int | ir.AffineExpr, ...]
    loops: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, map_: ir.AffineMap, loops: tuple[tuple[int, ...], ...]) -> "Access":
        owner = {d: g for g, dims in enumerate(loops) for d in dims}
        groups: list[tuple[int, ...]] = []
        exprs: list[int | ir.AffineExpr] = []
        results = list(map_.results)
        position = 0
        while position < len(results):
            e = results[position]
            count = 1
            if isinstance(e, ir.AffineDimExpr):
                group = owner[e.position]
                count = len(loops[group])
                exprs.append(group)
            else:
                exprs.append(e)
            groups.append(tuple(range(position, position + count)))
            position += count
        return cls(tuple(groups), tuple(exprs), loops)

    def mentions(self, group: int) -> int:
        """How often a group of loops occurs in the addresses."""
        loops = self.loops[group]
        inner = [e for e in self.exprs if not isinstance(e, int)]
        return self.exprs.count(group) + sum(d in loops for e in inner for d in dims_of(e))

    def view(self, buffer: ir.Value) -> ir.Value:
        """``buffer`` with grouped dimensions as one."""
        if all(len(g) == 1 for g in self.groups):
            return buffer
        type_ = buffer.type
        sizes = []
        for dims in self.groups:
            size = b.product([-1 if type_.is_dynamic_dim(d) else type_.get_dim_size(d) for d in dims])
            dynamic = any(type_.is_dynamic_dim(d) for d in dims)
            sizes.append(ir.ShapedType.get_dynamic_size() if dynamic else size)
        collapsed = ir.MemRefType.get(sizes, type_.element_type)
        return memref.collapse_shape(collapsed, buffer, [list(g) for g in self.groups])

    def at(self, point: Sequence[Index]) -> list[ir.Value]:
        """Indices into the view at a point of the grouped loops."""
        whole: list[Index] = [0] * sum(len(g) for g in self.loops)
        for group, dims in enumerate(self.loops):
            whole[dims[0]] = point[group]
        return [b.value(point[e] if isinstance(e, int) else b.apply(e, whole)) for e in self.exprs]


def evaluate(
    nest: Nest, given: Sequence[ir.Value | None], point: Sequence[Index], outside: dict[ir.Value, ir.Value]
) -> list[ir.Value]:
    """Emit the body at ``point`` on the elements ``given``; ``outside`` stands for values from outside of it."""
    known = {**outside, **{a: v for a, v in zip(nest.body.arguments, given) if v is not None}}
    *body, last = nest.body.operations
    for inner in body:
        op = inner.operation
        operands = [scalar_value(op, v, known) for v in op.operands]
        if op.name == "linalg.index":
            loop = ir.IntegerAttr(op.attributes["dim"]).value
            group = next(g for g, dims in enumerate(nest.groups) if loop in dims)
            results = [b.value(point[group])]
        elif op.name == "tensor.extract":
            results = [memref.load(operands[0], operands[1:])]
        else:
            results = emit_scalar(op, operands)
        known.update(zip(op.results, results))
    return [scalar_value(last.operation, v, known) for v in last.operands]


def scalar_value(op: ir.Operation, v: ir.Value, known: dict[ir.Value, ir.Value]) -> ir.Value:
    """What stands for ``v`` in a kernel; numbers computed from numbers are computed again."""
    if v in known:
        return known[v]
    number, owner = constant_attribute(v), defining_op(v)
    if number is not None:
        return arith.ConstantOp(v.type, number).result
    if owner is None or not is_arithmetic(v):
        pass_error(op, f"has no GPU lowering: a value of type {v.type} from outside of the op is not at hand")
    known.update(zip(owner.results, emit_scalar(owner, [scalar_value(op, x, known) for x in owner.operands])))
    return known[v]


def is_arithmetic(v: ir.Value) -> bool:
    """A number that an op computes from others; sizes are the host's."""
    made = None if isinstance(v.type, ir.ShapedType | ir.IndexType) else defining_op(v)
    return made is not None and made.name.partition(".")[0] in ("arith", "math")


def captured(nest: Nest) -> list[ir.Value]:
    """Values from outside of the loops, scalar operands too, that a kernel cannot compute from constants."""
    own = {*nest.body.arguments, *(r for op in nest.body.operations for r in op.results)}
    scalars = [v for v in nest.operands if not isinstance(v.type, ir.ShapedType)]
    pending = [v for op in nest.body.operations for v in op.operands if v not in own] + scalars
    found: dict[ir.Value, None] = {}
    while pending:
        v = pending.pop(0)
        if is_arithmetic(v):
            pending += v.owner.operands
        elif constant_attribute(v) is None:
            found[v] = None
    return list(found)


def split_index(flat: Index, sizes: Sequence[Index]) -> list[Index]:
    """Coordinates of element number ``flat`` of a row-major array."""
    out: list[Index] = []
    for size in reversed(sizes[1:]):
        out.append(b.mod(flat, size))
        flat = b.div(flat, size)
    return [flat, *reversed(out)] if sizes else []


def _counted(op: ir.Operation) -> set[int]:
    """Loops whose number the body asks for."""
    body = op.regions[0].blocks[0].operations
    return {ir.IntegerAttr(o.operation.attributes["dim"]).value for o in body if o.operation.name == "linalg.index"}


def _groups(maps: Sequence[ir.AffineMap], iterators: Sequence[str], counted: set[int]) -> tuple[tuple[int, ...], ...]:
    groups: list[tuple[int, ...]] = []
    for d, kind in enumerate(iterators):
        last = groups[-1][-1] if groups else None
        joins = (
            last is not None
            and iterators[last] == kind
            and not {last, d} & counted
            and all(_side_by_side(list(m.results), last, d) for m in maps)
        )
        if joins:
            groups[-1] = (*groups[-1], d)
        else:
            groups.append((d,))
    return tuple(groups)


def _side_by_side(results: list[ir.AffineExpr], first: int, second: int) -> bool:
    """Both loops are absent, or each occurs once, as a bare dimension, the second right after the first."""
    seen = [(i, d) for i, e in enumerate(results) for d in dims_of(e) if d in (first, second)]
    if not seen:
        return True
    bare = all(isinstance(results[i], ir.AffineDimExpr) for i, _ in seen)
    return bare and len(seen) == 2 and seen[0][1] == first and seen[1] == (seen[0][0] + 1, second)
