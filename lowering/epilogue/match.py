"""Analysis: elementwise ops on the result of a product that can be computed before the product stores it.

:func:`match_epilogue` finds the chain (IR -> dataclass); :mod:`pith.lowering.epilogue.values` emits it.
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir
from pith.dialect import encoding_of
from pith.passes.analysis.structured import iterator_types

from ..sparse.contraction import indexing_maps, is_generic
from ..vectorize import is_vectorizable

#: Ops that see the same elements under another shape.
RESHAPES = ("tensor.expand_shape", "tensor.collapse_shape")


@dataclasses.dataclass(frozen=True)
class Operand:
    """An operand of the chain as a function of the product's element.

    Attributes:
        value: a tensor or a scalar.
        groups: its dimensions, grouped into the ones below.
        dims: dimension of the product's result that indexes each group; None: always index 0.
    """

    value: ir.Value
    groups: tuple[tuple[int, ...], ...]
    dims: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One ``linalg.generic`` of the chain: per block argument an operand, None where the value so far flows in."""

    op: ir.OpView
    operands: tuple[Operand | None, ...]


@dataclasses.dataclass(frozen=True)
class Epilogue:
    """What may be computed before a product's result is stored.

    Attributes:
        product: the op that makes the value the chain begins with.
        stages: the ops to compute, in order.
        chain: every op that the kernel replaces after the product, reshapes included.
        destination: where the last stage writes.
        transposed: the destination holds the columns of the product's result, a matrix, as rows.
        views: reshapes between the destination and the end of the chain.
    """

    product: ir.OpView
    stages: tuple[Stage, ...]
    chain: tuple[ir.OpView, ...]
    destination: Operand
    transposed: bool
    views: tuple[ir.OpView, ...]

    @property
    def last(self) -> ir.OpView:
        """The op whose result the kernel makes."""
        return self.chain[-1]


def match_epilogue(product: ir.OpView) -> Epilogue | None:
    """The longest chain of ops behind ``product`` that can be computed on its result before that is stored.

    ``product`` is a ``linalg.generic`` with one result. The chain goes on while a value has one
    reader, that reader is an all-parallel ``linalg.generic`` on arithmetic (or a reshape that keeps the
    product's dimensions apart), and every operand is a function of some of the product's dimensions. Only matrices
    are transposed.
    """
    chain = _Chain(product)
    while chain.extend():
        pass
    return chain.found


def match_batch_epilogue(product: ir.OpView) -> Epilogue | None:
    """:func:`match_epilogue`, but of batches of products only what no sum reads.

    A softmax or a norm of rows reads what comes before it again while it is in L1 (``linalg/row_groups.py``).
    """
    found = match_epilogue(product)
    if found is None or product.results[0].type.rank == 2:
        return found
    readers = [use.owner.opview for use in found.last.results[0].uses]
    return None if any(is_generic(r) and "reduction" in iterator_types(r) for r in readers) else found


class _Chain:
    """The state of the search: where it stands, and the best answer so far."""

    def __init__(self, product: ir.OpView):
        self.product = product
        self.value: ir.Value = product.results[0]
        init = product.operands[len(product.operands) - 1]
        #: Dimension of the product's result per dimension of ``value``; None of size one, beside others of it.
        dims = tuple(range(product.results[0].type.rank))
        self.owners: tuple[int | None, ...] = dims
        self.destination = Operand(init, tuple((d,) for d in dims), dims)
        self.stages: list[Stage] = []
        self.chain: list[ir.OpView] = []
        self.views: list[ir.OpView] = []
        self.found: Epilogue | None = None

    def extend(self) -> bool:
        """Take the next op; False when there is none to take."""
        users = {use.owner.operation for use in self.value.uses if use.owner.name != "tensor.dim"}
        if len(users) != 1 or encoding_of(self.value.type) is not None:
            return False
        user = next(iter(users)).opview
        if user.operation.parent != self.product.operation.parent:
            return False
        if user.operation.name in RESHAPES:
            return self._reshape(user)
        return is_generic(user) and self._compute(user)

    def _reshape(self, op: ir.OpView) -> bool:
        if op.operands[0] != self.value:
            return False
        groups = [[int(d) for d in group] for group in op.operation.attributes["reassociation"]]
        if op.operation.name == "tensor.expand_shape":
            owners = _expanded(self.owners, groups, op.results[0].type.shape)
        else:
            members = [{self.owners[d] for d in group} - {None} for group in groups]
            if any(len(m) > 1 for m in members):
                return False
            owners = [next(iter(m), None) for m in members]
        self.owners = tuple(owners)
        self.views.append(op)
        self.chain.append(op)
        self.value = op.results[0]
        return True

    def _compute(self, op: ir.OpView) -> bool:
        if len(op.results) != 1 or set(iterator_types(op)) != {"parallel"}:
            return False
        block, maps = op.regions[0].blocks[0], indexing_maps(op)
        carried = [i for i, v in enumerate(op.operands) if v == self.value]
        loops = self._loops(maps[carried[0]])
        out_argument = block.arguments[len(block.arguments) - 1]
        if loops is None or len(loops) != len(iterator_types(op)):
            return False
        if any(maps[i] != maps[carried[0]] for i in carried) or not is_vectorizable(block):
            return False
        if any(True for _ in out_argument.uses) and len(maps) - 1 not in carried:
            return False
        operands = [None if i in carried else _operand(v, maps[i], loops) for i, v in enumerate(op.operands)]
        if any(o is None and i not in carried for i, o in enumerate(operands)):
            return False
        if not self._write(op, operands[-1], maps, loops):
            return False
        self.stages.append(Stage(op, tuple(operands)))
        self._keep(op)
        return True

    def _loops(self, exprs: Sequence[ir.AffineExpr]) -> "_Loops | None":
        """The loops of an op that reads the value along ``exprs``, when these are distinct loops."""
        if any(not isinstance(e, ir.AffineDimExpr) for e in exprs):
            return None
        seen: _Loops = {}
        for position, e in enumerate(exprs):
            seen[e.position] = (self.owners[position], self.owners[:position].count(self.owners[position]))
        return seen if len(seen) == len(exprs) else None

    def _write(self, op: ir.OpView, out: Operand | None, maps, loops: "_Loops") -> bool:
        """Note where ``op`` writes: into its own destination, or over the value itself."""
        if out is None:
            before = self.value.type.element_type
            return op.results[0].type.element_type == before
        straight = tuple(range(self.product.results[0].type.rank))
        if out.dims != straight and (len(straight) != 2 or out.dims != straight[::-1]):
            return False
        self.destination, self.views = out, []
        self.owners = tuple(loops[e.position][0] for e in maps[-1])
        return True

    def _keep(self, op: ir.OpView) -> None:
        self.chain.append(op)
        self.value = op.results[0]
        self.found = Epilogue(
            self.product,
            tuple(self.stages),
            tuple(self.chain),
            self.destination,
            self.destination.dims == (1, 0),
            tuple(self.views),
        )


#: Loop -> (dimension of the product or None, number within it).
_Loops = dict[int, tuple[int | None, int]]


def _expanded(owners: Sequence[int | None], groups: Sequence[Sequence[int]], shape: Sequence[int]) -> list[int | None]:
    """The owners of an expanded value's dimensions: those of size one have none beside others of their group."""
    found: list[int | None] = []
    for owner, group in zip(owners, groups):
        kept = [d for d in group if shape[d] != 1] or [group[-1]]
        found += [owner if d in kept else None for d in group]
    return found


def _operand(value: ir.Value, exprs: Sequence[ir.AffineExpr], loops: _Loops) -> Operand | None:
    """``value`` as a function of the product's dimensions, or None when it is none.

    What a loop of one step indexes goes with the dimension behind it, the last with the one before it.
    """
    if encoding_of(value.type) is not None:
        return None
    groups: list[tuple[int, ...]] = []
    dims: list[int | None] = []
    run: list[int] = []  # positions of the group that has begun
    due: list[tuple[int | None, int]] = []  # the loops that it still lacks
    for position, e in enumerate(exprs):
        run.append(position)
        is_first = isinstance(e, ir.AffineConstantExpr) and e.value == 0
        if not is_first and not isinstance(e, ir.AffineDimExpr):
            return None
        owner, number = (None, 0) if is_first else loops[e.position]
        if owner is None and not is_first:
            continue
        due = due or [at for at in sorted(loops.values(), key=lambda at: at[1]) if at[0] == owner and not is_first]
        if due and (owner, number) != due.pop(0):
            return None
        if not due:
            groups.append(tuple(run))
            dims.append(owner)
            run = []
    if due or (run and not groups):
        return None
    if run:
        groups[-1] += tuple(run)
    return Operand(value, tuple(groups), tuple(dims))
