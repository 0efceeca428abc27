"""Analysis: which product a linalg or ``pith.pit_tile`` op computes (IR -> :class:`Product`).

The iteration dimensions get roles: ``m`` (in lhs and out), ``n`` (in rhs and out), ``k`` (in lhs and rhs), and batch
roles ``b0, b1, ...`` for the rest. Everything after this speaks in roles, so a transposed operand is not a case.
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir, linalg
from pith.dialect import tiling_of
from pith.dialect.tiling import Tiling
from pith.passes.analysis.multiply_add import CASTS, multiplies_inputs
from pith.passes.core import pass_error

#: Element types that have a body.
ELEMENTS = "tiles multiply f32, f16 and bf16 (results: any of these), and signed i8 (results: i32)"


@dataclasses.dataclass(frozen=True)
class View:
    """An operand and the role of each of its dimensions, e.g. ``("b0", "k", "n")``."""

    value: ir.Value
    roles: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Listing:
    """A pattern that restricts a product.

    Attributes:
        pattern: the ``!pith.pattern`` value.
        role: what its list, or each of its lists, runs along.
        granularity: elements of a micro-tile along ``role``.
        group: the role whose every block has a list of its own, or None for one list.
        group_granularity: elements of such a block.
        axis: which of the pattern's axes lies on ``role``.
    """

    pattern: ir.Value
    role: str
    granularity: int
    group: str | None = None
    group_granularity: int = 1
    axis: int = 0


@dataclasses.dataclass(frozen=True)
class Product:
    """``out[b.., m, n] += lhs[b.., m, k] * rhs[b.., k, n]``, along some roles only where patterns say.

    Attributes:
        op: where it was found.
        lhs, rhs, out: operands; ``out`` is the init. If its last dimension is m or n, that is n.
        listings: the patterns.
        accumulate: blocks add to the output atomically.
        tile: requested extents per role; roles not in it are the planner's choice.
    """

    op: ir.OpView
    lhs: View
    rhs: View
    out: View
    listings: tuple[Listing, ...] = ()
    accumulate: bool = False
    tile: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def views(self) -> tuple[View, View, View]:
        """The operands: lhs, rhs, out."""
        return (self.lhs, self.rhs, self.out)

    @property
    def batch(self) -> tuple[str, ...]:
        """The batch roles, in the order of the output."""
        return tuple(r for r in self.out.roles if r not in "mn")

    def listing(self, role: str) -> Listing | None:
        """The pattern whose lists run along ``role``."""
        return next((x for x in self.listings if x.role == role), None)

    def grouped(self, role: str) -> Listing | None:
        """The pattern that has a list per block of ``role``."""
        return next((x for x in self.listings if x.group == role), None)

    @property
    def element(self) -> ir.Type:
        """Element type of what blocks write: that of the output, or f32 where they add to narrower floats."""
        stored = self.out.value.type.element_type
        return ir.F32Type.get() if self.accumulate and isinstance(stored, (ir.F16Type, ir.BF16Type)) else stored

    @property
    def writes_everything(self) -> bool:
        """Every place of the output is written, once."""
        return not self.accumulate and all(x.role == "k" for x in self.listings)


def is_product(op: ir.OpView) -> bool:
    """True for ops :func:`match_product` reads: ``pith.pit_tile`` and every linalg op but ``fill``."""
    name = op.operation.name
    return name == "pith.pit_tile" or (name.startswith("linalg.") and name not in ("linalg.fill", "linalg.yield"))


def multiplies_matrices(op: ir.OpView) -> bool:
    """True for a linalg op that :func:`match_product` reads, whatever its element types."""
    maps = linalg.get_indexing_maps(op.operation)
    if maps is None or len(op.operands) != 3 or len(maps) != 3 or not _multiplies(op):
        return False
    dims = [_bare(ir.AffineMapAttr(m).value) for m in maps]
    return None not in dims and _find_roles(*dims) is not None  # type: ignore[arg-type]


def is_matrix_product(op: ir.OpView) -> bool:
    """True for a linalg op that :func:`match_product` reads, on element types that have a body."""
    if not multiplies_matrices(op):
        return False
    lhs, rhs, out = (v.type.element_type for v in op.operands)
    floats = (ir.F32Type, ir.F16Type, ir.BF16Type)
    if isinstance(lhs, floats):
        return lhs == rhs and isinstance(out, floats)
    return lhs == rhs and isinstance(lhs, ir.IntegerType) and (lhs.width, out.width) == (8, 32) and _is_signed(op)


def match_product(op: ir.OpView) -> Product:
    """The :class:`Product` of ``op``; a diagnostic and :class:`pith.PassError` when it is none."""
    product = _match_pit(op) if op.operation.name == "pith.pit_tile" else _match_linalg(op)
    return _transposed(product) if product.out.roles[-1] == "m" else product


def _transposed(p: Product) -> Product:
    """The same product with m and n, and lhs and rhs, swapped: rows of the output are then written whole."""
    other = {"m": "n", "n": "m"}

    def view(v: View) -> View:
        return View(v.value, tuple(other.get(r, r) for r in v.roles))

    listings = tuple(
        dataclasses.replace(x, role=other.get(x.role, x.role), group=other.get(x.group or "", x.group))
        for x in p.listings
    )
    tile = {other.get(r, r): extent for r, extent in p.tile.items()}
    return dataclasses.replace(p, lhs=view(p.rhs), rhs=view(p.lhs), out=view(p.out), listings=listings, tile=tile)


def _match_linalg(op: ir.OpView) -> Product:
    maps = linalg.get_indexing_maps(op.operation)
    if maps is None or len(op.operands) != 3 or len(maps) != 3:
        pass_error(op, "has no GPU lowering: expects a product of two operands", "only matrix products lower to gpu")
    _check_body(op)
    dims = [_dims(op, ir.AffineMapAttr(m).value) for m in maps]
    roles = _roles(op, *dims)
    lhs, rhs, out = (View(v, tuple(roles[d] for d in ds)) for v, ds in zip(op.operands, dims))
    return Product(op, lhs, rhs, out)


def _match_pit(op: ir.OpView) -> Product:
    tiling = tiling_of(op)
    operands = [*op.inputs, op.init]
    if len(operands) != 3:
        pass_error(op, f"has no GPU lowering: expects two inputs and one init, got {len(operands) - 1} inputs")
    dims = [_dims(op, m) for m in tiling.maps]
    body = _body_product(op)
    roles = _roles_from_body(op, dims, body)
    views = {view: View(operands[i], tuple(roles[d] for d in dims[i])) for i, view in body}
    listings = tuple(_listing(op, tiling, roles, i) for i in range(len(op.patterns)))
    return Product(
        op,
        views["lhs"],
        views["rhs"],
        views["out"],
        listings=listings,
        accumulate=tiling.accumulate and any(_meets(x) for x in listings),
        tile={roles[d]: extent for d, extent in enumerate(tiling.tile) if extent},
    )


def _listing(op: ir.OpView, tiling: Tiling, roles: dict[int, str], pattern: int) -> Listing:
    """How pattern number ``pattern`` restricts the product."""
    axes = list(tiling.pattern_axes[pattern])
    on = [roles[tiling.axes[i]] for i in axes]
    if len(axes) > 2:
        pass_error(op, f"has no GPU lowering: expects patterns on one or two axes, got {len(axes)}")
    if len(axes) == 1:
        return Listing(op.patterns[pattern], on[0], tiling.granularity[axes[0]])
    packed = tiling.packed_axes[pattern]
    # The list runs along the packed axis; where nothing is packed, along the contracted one if there is one.
    stream = axes.index(packed) if packed is not None else on.index("k") if "k" in on else len(on) - 1
    other = 1 - stream
    return Listing(
        op.patterns[pattern],
        on[stream],
        tiling.granularity[axes[stream]],
        on[other],
        tiling.granularity[axes[other]],
        stream,
    )


def _meets(listing: Listing) -> bool:
    """Several blocks add to one place: lists per block of k name rows or columns."""
    return listing.group == "k"


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


def _roles_from_body(op: ir.OpView, dims: Sequence[tuple[int, ...]], body: list[tuple[int, str]]) -> dict[int, str]:
    product = _match_linalg(next(iter(op.regions[0].blocks[0].operations)))
    roles: dict[int, str] = {}
    for (i, _), view in zip(body, product.views):
        for d, role in zip(dims[i], view.roles):
            if roles.setdefault(d, role) != role:
                pass_error(op, "has no GPU lowering: the body's product disagrees with indexing_maps")
    if len(set(roles.values())) != len(roles):
        pass_error(op, "has no GPU lowering: the body's product disagrees with indexing_maps")
    return roles


def _dims(op: ir.OpView, map_: ir.AffineMap) -> tuple[int, ...]:
    dims = _bare(map_)
    if dims is None:
        pass_error(op, f"has no GPU lowering: expects operands indexed by different dimensions, got the map {map_}")
    return dims


def _bare(map_: ir.AffineMap) -> tuple[int, ...] | None:
    """The dimensions that are the results of a map, each another one; None for other maps."""
    dims = tuple(e.position for e in map_.results if isinstance(e, ir.AffineDimExpr))
    return dims if len(dims) == len(map_.results) == len(set(dims)) else None


def _roles(op: ir.OpView, a: Sequence[int], b: Sequence[int], c: Sequence[int]) -> dict[int, str]:
    roles = _find_roles(a, b, c)
    if roles is None:
        pass_error(op, "has no GPU lowering: expects out[m, n] += lhs[m, k] * rhs[k, n] up to transposition")
    return roles


def _find_roles(a: Sequence[int], b: Sequence[int], c: Sequence[int]) -> dict[int, str] | None:
    """Roles by where a dimension occurs; of several rows (columns) the one that is last in the output is m (n)."""
    rows = [d for d in c if d in a and d not in b]
    columns = [d for d in c if d in b and d not in a]
    depth = [d for d in a if d in b and d not in c]
    if not rows or not columns or len(depth) != 1 or set(a) | set(b) != set(c) | set(depth):
        return None
    roles = {rows[-1]: "m", columns[-1]: "n", depth[0]: "k"}
    others = [d for d in c if d not in roles]
    return {**roles, **{d: f"b{i}" for i, d in enumerate(others)}}


def _check_body(op: ir.OpView) -> None:
    if not _multiplies(op) or not _is_signed(op):
        pass_error(op, "has no GPU lowering: expects the body out + lhs * rhs")


def _is_signed(op: ir.OpView) -> bool:
    """No factor is widened as an unsigned integer."""
    return all(o.operation.name != "arith.extui" for o in op.regions[0].blocks[0].operations)


def _multiplies(op: ir.OpView) -> bool:
    return multiplies_inputs(op.regions[0].blocks[0], *CASTS)
