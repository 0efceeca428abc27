"""Which dimensions of a function's arguments must have the same size, as far as its ops say."""

import dataclasses
from collections.abc import Iterator, Sequence

from pith._mlir import ir, linalg
from pith.dialect import shape_of
from pith.dialect.tiling import tiling_of
from pith.formats import DYNAMIC

from .structured import dim_positions
from .traversal import constant_index

#: Ops whose first result has the shape of their first operand.
_SAME_SHAPE = (
    "tensor.cast",
    "memref.cast",
    "bufferization.to_tensor",
    "bufferization.to_buffer",
    "pith.decompress",
)

#: A dimension of a tensor or memref; a number of type ``index`` has None for a dimension.
_Node = tuple[ir.Value, int | None]


@dataclasses.dataclass(frozen=True)
class EqualSizes:
    """Dimensions of a function's arguments that must have one size.

    Attributes:
        members: (argument, dimension) of the dynamic ones, in order.
        size: what it must be, None when any size will do.
    """

    members: tuple[tuple[int, int], ...]
    size: int | None


def equal_sizes(function: ir.OpView) -> list[EqualSizes]:
    """What a call's dynamic sizes must obey, by the order of the first argument that each rule names.

    Semantics: only ops that always run count, those of the entry block, and among them structured ops, elementwise
        ones, tiles of ``pith.pit_tile`` along what no pattern lists, casts, and sizes handed from ``tensor.dim`` to
        ``tensor.empty``. What others demand is not known here. Sizes that contradict each other give no rule.
    """
    if function.is_external:
        return []
    classes = _Classes()
    for op in function.entry_block.operations:
        for nodes in _equalities(op):
            classes.join(nodes)
    arguments = [a for a in function.arguments if isinstance(a.type, ir.ShapedType) and a.type.has_rank]
    found: dict[_Node, list[tuple[int, int]]] = {}
    for argument in arguments:
        for d, size in enumerate(shape_of(argument.type)):
            if size == DYNAMIC:
                found.setdefault(classes.root((argument, d)), []).append((argument.arg_number, d))
    rules = [(tuple(members), classes.sizes.get(root, set())) for root, members in found.items()]
    return [EqualSizes(m, next(iter(s), None)) for m, s in rules if len(s) == 1 or (not s and len(m) > 1)]


class _Classes:
    """Nodes of one size, joined step by step; ``sizes`` has the static sizes met by root."""

    def __init__(self):
        self._parents: dict[_Node, _Node] = {}
        self.sizes: dict[_Node, set[int]] = {}

    def root(self, node: _Node) -> _Node:
        """What stands for the class of ``node``."""
        if node not in self._parents:
            self._parents[node] = node
            size = _static_size(node)
            self.sizes[node] = set() if size is None else {size}
        while self._parents[node] != node:
            node = self._parents[node]
        return node

    def join(self, nodes: Sequence[_Node]) -> None:
        """Put nodes into one class."""
        first, *rest = map(self.root, nodes)
        for other in rest:
            other = self.root(other)
            if other != first:
                self._parents[other] = first
                self.sizes[first] |= self.sizes[other]


def _static_size(node: _Node) -> int | None:
    value, d = node
    if d is not None:
        size = shape_of(value.type)[d]
        return None if size == DYNAMIC else size
    return constant_index(value)


def _equalities(op: ir.OpView) -> Iterator[list[_Node]]:
    """Groups of nodes that ``op`` gives one size."""
    operation = op.operation
    name, operands, results = operation.name, list(operation.operands), list(operation.results)
    if name.startswith("linalg."):
        maps = linalg.get_indexing_maps(operation)
        if maps is not None and len(maps) == len(operands):
            yield from _along_loops(operands, [ir.AffineMapAttr(a).value for a in maps])
            yield from _same_shapes(list(zip(operands[len(operands) - len(results) :], results)))
    elif name == "pith.pit_tile":
        tiling = tiling_of(op)
        yield from _along_loops(operands[len(tiling.patterns) :], tiling.maps, tiling.axes)
        yield from _same_shapes([(operands[-1], results[0])])
    elif name in _SAME_SHAPE:
        yield from _same_shapes([(operands[0], results[0])])
    elif name.startswith(("arith.", "math.")):
        shaped = [v for v in [*results, *operands] if isinstance(v.type, ir.RankedTensorType)]
        yield from _same_shapes([(results[0], v) for v in shaped[1:]] if shaped else [])
    elif name in ("tensor.empty", "memref.alloc"):
        dynamic = [d for d, size in enumerate(shape_of(results[0].type)) if size == DYNAMIC]
        yield from ([(results[0], d), (n, None)] for d, n in zip(dynamic, operands))
    elif name in ("tensor.dim", "memref.dim"):
        d = constant_index(operands[1])
        if d is not None and _has_rank(operands[0]) and 0 <= d < len(shape_of(operands[0].type)):
            yield [(operands[0], d), (results[0], None)]


def _along_loops(
    operands: Sequence[ir.Value], maps: Sequence[ir.AffineMap], without: Sequence[int] = ()
) -> Iterator[list[_Node]]:
    """The dimensions of operands that each loop runs along, but for the loops ``without``."""
    loops: dict[int, list[_Node]] = {}
    for value, map_ in zip(operands, maps):
        for d, loop in enumerate(dim_positions(map_)):
            if loop is not None and loop not in without:
                loops.setdefault(loop, []).append((value, d))
    yield from loops.values()


def _same_shapes(pairs: Sequence[tuple[ir.Value, ir.Value]]) -> Iterator[list[_Node]]:
    for a, b in pairs:
        if _has_rank(a) and _has_rank(b) and len(shape_of(a.type)) == len(shape_of(b.type)):
            for d in range(len(shape_of(a.type))):
                yield [(a, d), (b, d)]


def _has_rank(value: ir.Value) -> bool:
    return isinstance(value.type, (ir.RankedTensorType, ir.MemRefType))
