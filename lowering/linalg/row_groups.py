"""Analysis: runs of bufferized ops that can share one loop over rows.

A layer norm or a softmax is a handful of ops that each pass over the same matrix. When row i of one op needs only
row i of what the others wrote, all of them can be computed row by row, with the row in L1 from the first op to the last
and one parallel region instead of one per op.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from pith._mlir import ir, memref
from pith.dialect.tiling import dims_of
from pith.passes.analysis.structured import iterator_types
from pith.passes.analysis.traversal import constant_index, defining_op, ops_where

from ..sparse.contraction import indexing_maps, is_generic

#: Ops between two members of a group that neither read nor write memory, so that the earlier one may move past them.
_TRANSPARENT = ("arith.", "affine.apply", "memref.alloc", "memref.alloca", "memref.dim", "memref.get_global")
_VIEWS = ("memref.collapse_shape", "memref.expand_shape", "memref.cast", "memref.subview", "memref.reinterpret_cast")

#: A size as a number, an SSA value, or a dimension of a memref.
Size = int | ir.Value | tuple[ir.Value, int]


@dataclasses.dataclass(frozen=True)
class RowGroup:
    """Ops of one block in program order, of which the first ``lead`` loops walk the same rows."""

    ops: tuple[ir.OpView, ...]
    lead: int


def row_groups(block: ir.Block) -> list[RowGroup]:
    """Every maximal run of two or more ops of ``block`` that can share leading loops; they may be copies too."""
    groups: list[RowGroup] = []
    members: list[_Member] = []
    lead = 0

    def close() -> None:
        if len(members) > 1:
            groups.append(RowGroup(tuple(m.op for m in members), lead))
        members.clear()

    for op in block.operations:
        if _is_candidate(op):
            member = _Member.of(op)
            joint = next(_joint_leads(members, member, lead), 0) if members else member.most
            if not joint:
                close()
                joint = member.most
            if joint:
                members.append(member)
                lead = joint
        elif not op.operation.name.startswith(_TRANSPARENT) and op.operation.name not in _VIEWS:
            close()
    close()
    return groups


def _is_candidate(op: ir.OpView) -> bool:
    if isinstance(op, memref.CopyOp):
        source, target = (v.type for v in op.operands)
        return source == target and source.rank > 0
    return is_generic(op) and not op.operation.results


@dataclasses.dataclass(frozen=True)
class _Member:
    """An op with what decides whether it can join others.

    Attributes:
        most: how many leading loops are parallel, one loop left inside.
    """

    op: ir.OpView
    maps: tuple[tuple[ir.AffineExpr, ...], ...]
    most: int

    @classmethod
    def of(cls, op: ir.OpView) -> "_Member":
        if isinstance(op, memref.CopyOp):
            rank = op.operands[0].type.rank
            dims = tuple(ir.AffineExpr.get_dim(d) for d in range(rank))
            return cls(op, (dims, dims), rank - 1)
        iterators = iterator_types(op)
        parallel = next((i for i, kind in enumerate(iterators) if kind != "parallel"), len(iterators))
        return cls(op, indexing_maps(op), min(parallel, len(iterators) - 1))

    @property
    def written(self) -> list[ir.Value]:
        """Memrefs the op writes."""
        outs = 1
        if is_generic(self.op):
            outs = len(list(self.op.regions[0].blocks[0].operations)[-1].operands)
        return list(self.op.operands)[-outs:]

    def accesses(self) -> Iterator[tuple[ir.Value, tuple[ir.AffineExpr, ...] | None]]:
        """The memrefs the op touches, through views: the memory, and the indices into it, or None for some others."""
        for value, exprs in zip(self.op.operands, self.maps):
            if isinstance(value.type, ir.MemRefType):
                yield _through_views(value, exprs)
        for inner in ops_where(self.op.operation, lambda op: op != self.op.operation):  # a gather loads in its body
            yield from (_through_views(v, None) for v in inner.operands if isinstance(v.type, ir.MemRefType))

    def sizes(self, loop: int) -> set[Size]:
        """What the size of ``loop`` is known to equal."""
        found: set[Size] = set()
        for value, exprs in self.accesses():
            for d, e in enumerate(exprs or ()):
                if isinstance(e, ir.AffineDimExpr) and e.position == loop:
                    found.add(_size(value, d))
        return found


def _size(value: ir.Value, dim: int) -> Size:
    """The size of a dimension, told by what a buffer was allocated with where that is known."""
    if not value.type.is_dynamic_dim(dim):
        return value.type.get_dim_size(dim)
    op = defining_op(value, "memref.alloc")
    if op is None:
        return value, dim
    asked = op.operands[sum(value.type.is_dynamic_dim(d) for d in range(dim))]
    source = defining_op(asked, "memref.dim")
    position = None if source is None else constant_index(source.operands[1])
    return asked if source is None or position is None else _size(source.operands[0], position)


def _joint_leads(members: Sequence[_Member], new: _Member, lead: int) -> Iterator[int]:
    """Numbers of leading loops that ``new`` can share with ``members``, largest first."""
    for count in range(min(lead, new.most), 0, -1):
        if _rows_stay_apart([*members, new], count) and _same_rows(members, new, count):
            yield count


def _same_rows(members: Sequence[_Member], new: _Member, lead: int) -> bool:
    return all(any(new.sizes(loop) & m.sizes(loop) for m in members) for loop in range(lead))


def _rows_stay_apart(members: Sequence[_Member], lead: int) -> bool:
    """Whatever one member writes, all members touch only at the row they are at."""
    written = {_through_views(v, None)[0] for m in members for v in m.written}
    return all(
        value not in written or (exprs is not None and _is_row(exprs, lead))
        for m in members
        for value, exprs in m.accesses()
    )


def _is_row(exprs: Sequence[ir.AffineExpr], lead: int) -> bool:
    """The first ``lead`` loops are the first indices, and appear nowhere else."""
    first, rest = exprs[:lead], exprs[lead:]
    return (
        len(first) == lead
        and all(isinstance(e, ir.AffineDimExpr) and e.position == d for d, e in enumerate(first))
        and all(d >= lead for e in rest for d in dims_of(e))
    )


def _through_views(
    value: ir.Value, exprs: tuple[ir.AffineExpr, ...] | None
) -> tuple[ir.Value, tuple[ir.AffineExpr, ...] | None]:
    """The memory that ``value`` is a view of, and what ``exprs`` index there; None when that is not simply told."""
    while (view := defining_op(value, *_VIEWS)) is not None:
        exprs = _before(view, exprs) if exprs is not None else None
        value = view.operands[0]
    return value, exprs


def _before(view: ir.Operation, exprs: tuple[ir.AffineExpr, ...]) -> tuple[ir.AffineExpr, ...] | None:
    """Indices into the source of a reshape that only adds or drops dimensions of size one."""
    if view.name not in ("memref.expand_shape", "memref.collapse_shape"):
        return None
    expands = view.name == "memref.expand_shape"
    wide = (view.results[0] if expands else view.operands[0]).type
    zero, out = ir.AffineExpr.get_constant(0), []
    for n, group in enumerate(view.attributes["reassociation"]):
        dims = [int(d) for d in group]
        long = [d for d in dims if wide.is_dynamic_dim(d) or wide.get_dim_size(d) != 1] or dims[:1]
        if len(long) > 1:
            return None
        if expands:
            out.append(exprs[long[0]])
        else:
            out += [exprs[n] if d == long[0] else zero for d in dims]
    return tuple(out)
