"""Decide how a product runs on a GPU: body, tile, threads and shared memory, or why it cannot."""

import dataclasses
from typing import NoReturn

from pith._mlir import ir
from pith.dialect import encoding_of, shape_of
from pith.passes.core import pass_error

from ..targets import GpuTarget
from .bodies import Body, FmaBody, MmaBody
from .match import Product, View
from .staging import unsupported_level

#: Accumulators (32-bit registers) one thread may hold; 255 is the hardware's limit for everything.
MAX_ACCUMULATORS = 128


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one product runs.

    Attributes:
        tile: extents of the block's tile per role.
        body: the dense tile body.
        shared_bytes: dynamic shared memory of a block.
    """

    tile: dict[str, int]
    body: Body
    shared_bytes: int


def plan_product(product: Product, target: GpuTarget) -> Plan:
    """The :class:`Plan` of ``product``; a diagnostic and :class:`pith.PassError` when there is none."""
    check_storage(product)
    lhs, rhs, out = (v.value.type.element_type for v in product.views)
    if lhs != rhs or not isinstance(lhs, (ir.F32Type, ir.F16Type)):
        _refuse(product, f"expects both inputs f32 or both f16, got {lhs} and {rhs}")
    half = isinstance(lhs, ir.F16Type)
    if not isinstance(out, ir.F32Type) and not (half and isinstance(out, ir.F16Type)):
        _refuse(product, f"expects an f32 output{' or f16' if half else ''}, got {out}")
    if product.accumulate and not isinstance(out, ir.F32Type):
        _refuse(product, f"accumulates with atomic adds and expects an f32 output, got {out}")
    default = dict(zip("mnk", target.tile_f16 if half else target.tile_f32))
    tile = {**default, **product.tile}
    body = _mma_body(product, tile) if half else _fma_body(product, tile)
    shared = sum(shape.nbytes for shape in body.layout(lhs))
    if shared > target.max_shared_bytes:
        _refuse(product, f"needs {shared} bytes of shared memory, {target.chip} has {target.max_shared_bytes}")
    return Plan(tile, body, shared)


def check_storage(product: Product) -> None:
    """Refuse formats that the loaders cannot read (the verifier keeps patterns off encoded operands)."""
    if encoding_of(product.out.value.type) is not None:
        _refuse(product, "expects a dense output")
    for view in (product.lhs, product.rhs):
        fmt = encoding_of(view.value.type)
        if fmt is None:
            continue
        level = unsupported_level(fmt)
        if level:
            _refuse(product, f"expects formats of dense and nm levels, got level {level}")
        if fmt.may_overhang(shape_of(view.value.type)):
            _refuse(product, f"expects a shape that the padded format divides, got {view.value.type}")
    if all(_hides_depth(view) for view in (product.lhs, product.rhs)):
        _refuse(product, "expects a dense operand or a static size along the contracted dimension")


def _hides_depth(view: View) -> bool:
    """True when neither the type nor a buffer of ``view`` tells the size of the contracted dimension."""
    type_ = view.value.type
    return encoding_of(type_) is not None and shape_of(type_)[view.roles.index("k")] < 0


def _fma_body(product: Product, tile: dict[str, int]) -> FmaBody:
    m, n, k = (tile[r] for r in "mnk")
    if m % 16 or n % 16:
        _refuse(product, f"expects tile sizes m and n to be multiples of 16 for f32, got {m} and {n}")
    _check_accumulators(product, m * n // 256)
    return FmaBody(m, n, k)


def _mma_body(product: Product, tile: dict[str, int]) -> MmaBody:
    m, n, k = (tile[r] for r in "mnk")
    if m % 16 or n % 8 or k % 16:
        _refuse(product, f"expects tile sizes (m, n, k) to be multiples of (16, 8, 16) for f16, got ({m}, {n}, {k})")
    warps = (1 if m % 32 else 2, 1 if n % 16 else 2)
    _check_accumulators(product, m * n // (32 * warps[0] * warps[1]))
    return MmaBody(m, n, k, warps)


def _check_accumulators(product: Product, count: int) -> None:
    if count > MAX_ACCUMULATORS:
        _refuse(product, f"expects at most {MAX_ACCUMULATORS} accumulators per thread, its tile needs {count}")


def _refuse(product: Product, message: str) -> NoReturn:
    pass_error(product.op, f"has no GPU lowering: {message}")
