"""Analysis: which product a linalg or ``pith.pit_tile`` op computes (IR -> :class:`Product`).

The three iteration dimensions get roles: ``m`` (in lhs and out), ``n`` (in rhs and out) and ``k``
(in lhs and rhs). Everything after this speaks in roles, so a transposed operand is not a case.
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir, linalg
from pith.dialect import tiling_of
from pith.passes.core import pass_error

_CASTS = ("arith.extf",)


@dataclasses.dataclass(frozen=True)
class View:
    """A rank-2 operand and the role of each of its dimensions, e.g. ``("k", "n")``."""

    value: ir.Value
    roles: tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Product:
    """``out[m, n] += lhs[m, k] * rhs[k, n]``, along one role possibly only where a pattern says.

    Attributes:
        op: where it was found.
        lhs, rhs, out: operands; ``out`` is the init.
        pattern: the ``!pith.pattern`` value, or None.
        axis: the role it lies on.
        granularity: elements of one of its micro-tiles.
        accumulate: True when tiles are added to the output atomically.
        tile: requested extents per role; roles not in it use the target's default.
    """

    op: ir.OpView
    lhs: View
    rhs: View
    out: View
    pattern: ir.Value | None = None
    axis: str | None = None
    granularity: int = 1
    accumulate: bool = False
    tile: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def views(self) -> tuple[View, View, View]:
        """The operands: lhs, rhs, out."""
        return (self.lhs, self.rhs, self.out)


def is_product(op: ir.OpView) -> bool:
    """True for ops :func:`match_product` reads: ``pith.pit_tile`` and every linalg op but ``fill``."""
    name = op.operation.name
    return name == "pith.pit_tile" or (name.startswith("linalg.") and name not in ("linalg.fill", "linalg.yield"))


def match_product(op: ir.OpView) -> Product:
    """The :class:`Product` of ``op``; a diagnostic and :class:`pith.PassError` when it is none."""
    return _match_pit(op) if op.operation.name == "pith.pit_tile" else _match_linalg(op)


def _match_linalg(op: ir.OpView) -> Product:
    maps = linalg.get_indexing_maps(op.operation)
    if maps is None or len(op.operands) != 3 or len(maps) != 3:
        pass_error(op, "has no GPU lowering: expects a product of two operands", "only matrix products lower to gpu")
    _check_body(op)
    dims = [_dims(op, ir.AffineMapAttr(m).value) for m in maps]
    roles = _roles(op, *dims)
    lhs, rhs, out = (View(v, (roles[d[0]], roles[d[1]])) for v, d in zip(op.operands, dims))
    return Product(op, lhs, rhs, out)


def _match_pit(op: ir.OpView) -> Product:
    tiling = tiling_of(op)
    if len(op.patterns) != 1:
        pass_error(op, f"has no GPU lowering: expects one pattern, got {len(op.patterns)}")
    operands = [*op.inputs, op.init]
    if len(operands) != 3:
        pass_error(op, f"has no GPU lowering: expects two inputs and one init, got {len(operands) - 1} inputs")
    if len(tiling.axes) != 1:
        pass_error(op, f"has no GPU lowering: expects a pattern on one axis, got {len(tiling.axes)}")
    dims = [_dims(op, m) for m in tiling.maps]
    body = _body_product(op)
    roles = _roles_from_body(op, dims, body)
    views = {view: View(operands[i], (roles[dims[i][0]], roles[dims[i][1]])) for i, view in body}
    return Product(
        op,
        views["lhs"],
        views["rhs"],
        views["out"],
        pattern=op.patterns[0],
        axis=roles[tiling.axes[0]],
        granularity=tiling.granularity[0],
        accumulate=tiling.accumulate,
        tile={roles[d]: extent for d, extent in enumerate(tiling.tile) if extent},
    )


def _body_product(op: ir.OpView) -> list[tuple[int, str]]:
    """Which block argument of a ``pit_tile`` is the lhs, rhs and out of the product in its body."""
    block = op.regions[0].blocks[0]
    ops = list(block.operations)
    if len(ops) != 2 or not is_product(ops[0]) or list(ops[1].operands) != list(ops[0].results):
        pass_error(op, "has no GPU lowering: expects one matrix product as its body, then pith.yield of its result")
    product = _match_linalg(ops[0])
    arguments = list(block.arguments)
    found = []
    for name, view in zip(("lhs", "rhs", "out"), product.views):
        if view.value not in arguments:
            pass_error(op, "has no GPU lowering: expects the body's product to use the tiles as they come")
        found.append((arguments.index(view.value), name))
    if sorted(i for i, _ in found) != [0, 1, 2] or found[2] != (2, "out"):
        pass_error(op, "has no GPU lowering: expects the body's product to use every tile once")
    return found


def _roles_from_body(op: ir.OpView, dims: Sequence[tuple[int, int]], body: list[tuple[int, str]]) -> dict[int, str]:
    product = _match_linalg(next(iter(op.regions[0].blocks[0].operations)))
    roles: dict[int, str] = {}
    for (i, _), view in zip(body, product.views):
        for d, role in zip(dims[i], view.roles):
            if roles.setdefault(d, role) != role:
                pass_error(op, "has no GPU lowering: the body's product disagrees with indexing_maps")
    if len(set(roles.values())) != len(roles):
        pass_error(op, "has no GPU lowering: the body's product disagrees with indexing_maps")
    return roles


def _dims(op: ir.OpView, map_: ir.AffineMap) -> tuple[int, int]:
    dims = [e.position for e in map_.results if isinstance(e, ir.AffineDimExpr)]
    if len(dims) != 2 or len(map_.results) != 2 or dims[0] == dims[1] or map_.n_dims != 3:
        pass_error(op, f"has no GPU lowering: expects rank-2 operands over (m, n, k), got the map {map_}")
    return dims[0], dims[1]


def _roles(op: ir.OpView, a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> dict[int, str]:
    m, n, k = set(a) & set(c), set(b) & set(c), set(a) & set(b)
    if not len(m) == len(n) == len(k) == 1 or len(m | n | k) != 3:
        pass_error(op, "has no GPU lowering: expects out[m, n] += lhs[m, k] * rhs[k, n] up to transposition")
    return {m.pop(): "m", n.pop(): "n", k.pop(): "k"}


def _check_body(op: ir.OpView) -> None:
    """The scalar body must be ``out + cast(a) * cast(b)``."""
    block = op.regions[0].blocks[0]
    a, b, out = block.arguments
    ops = list(block.operations)
    result = _definition(ops[-1].operands[0])
    terms = list(result.operands) if result is not None and result.name == "arith.addf" else []
    products = [p for p in map(_definition, terms) if p is not None and p.name == "arith.mulf"]
    if len(products) == 1 and out in terms:
        factors = [_uncast(v) for v in products[0].operands]
        if factors in ([a, b], [b, a]):
            return
    pass_error(op, "has no GPU lowering: expects the body out + lhs * rhs on floats")


def _definition(value: ir.Value) -> ir.Operation | None:
    return None if isinstance(value.owner, ir.Block) else value.owner.operation


def _uncast(value: ir.Value) -> ir.Value:
    source = _definition(value)
    return source.operands[0] if source is not None and source.name in _CASTS else value
