"""What a product with a quantised matrix runs: a kernel on what is stored, or one on a dense copy."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, cast

import numpy as np

from ...compiler.kernel import Kernel, compile_source
from ...errors import UnsupportedError
from ...quantization import QuantizedTensor
from ...runtime import num_threads
from ...sparse import SparseTensor
from ...tuning.problem import ELEMENT_BYTES, Problem
from ...tuning.select import MOST_DENSE_BYTES, Candidate, dense_bytes, pick, rank
from .copies import WHOLE, Products, products_of
from .dense import LOOK
from .plan import rounded_columns
from .quantized_ir import QuantizedProduct, quantized_source

#: What callers may ask for.
VARIANTS = ("auto", "dense", "sparse")

#: Time of a product of f32 with weights that the load dequantises, over that of the same weights in f32, by bits:
#: 2:4 in i8 1.04 to 1.08, in i4 1.18 to 1.22, 1:4 in i4 1.2 (512x768x32 to 3072x768x128, one core of Zen 4, 2026-11).
DECODED = {8: 1.05, 4: 1.2}

#: What a copy has to gain that takes more than so many times the bytes of what is stored, as in f32 beside 2:4 (6 and
#: 12 times, of i8 and i4): predictions for one column are off by 15 to 24 % (Zen 4, 2026-11). Beside CSR, which takes
#: half as much as a copy in f32, that would leave products 1.08 to 1.24 times slower than dense.
LARGE, LARGE_GAIN = 4, 1.2


@dataclasses.dataclass(frozen=True, slots=True)
class QuantizedPlan:
    """What a product of one quantised matrix does.

    Attributes:
        kernel: what runs.
        dense: it runs on a copy that stores every element, of its integers or, multiplied by f32, of its values in f32.
    """

    kernel: Kernel
    dense: bool


def plan_for(a: QuantizedTensor, columns: int, x: str, variant: str, how: tuple[Any, ...]) -> QuantizedPlan:
    """The plan for a number of columns of ``x``'s element type, decided once per matrix.

    Args:
        how: the fields of :class:`.quantized_ir.QuantizedProduct` behind the element type.
    """
    columns = rounded_columns(columns)
    plans, key = _kept(a).plans, (columns, x, variant, num_threads(), *how)
    plan = plans.get(key)
    if plan is None:
        chosen = best(a, candidates(a, columns, x, variant), x)
        plan = plans[key] = QuantizedPlan(_kernel(a, chosen, columns, x, how), chosen.variant.is_dense)
    return plan


def candidates(a: QuantizedTensor, columns: int, x: str, variant: str) -> list[Candidate]:
    """The kernels there are, fastest first: the same ones on what is stored and on a copy that stores every element.

    Errors: :class:`pith.UnsupportedError` for another variant.
    """
    if variant not in VARIANTS:
        raise UnsupportedError(f"no variant {variant!r} of a quantised matrix", hint=f"one of {', '.join(VARIANTS)}")
    problem = problem_of(a, columns, x)
    own = rank(problem, "sparse" if x == "i8" else _decoding_tile(problem))
    if x == "f32":
        own = [dataclasses.replace(c, seconds=c.seconds * DECODED[a.bits]) for c in own]
    copy = [] if problem.is_plain else [c for c in rank(problem, "dense") if not c.variant.is_library]
    if x == "f32":  # what meets zeros that are not stored has to be finite
        copy = [dataclasses.replace(c, seconds=c.seconds + LOOK * columns * problem.contracted) for c in copy]
    if variant == "auto":
        fits = {c.name: dense_bytes(problem, c.variant) <= MOST_DENSE_BYTES for c in copy}
        copy = [c if fits[c.name] else dataclasses.replace(c, eligible=False) for c in copy]
    found = {"auto": [*own, *copy], "sparse": own, "dense": copy or own}[variant]
    return sorted(found, key=lambda c: (not c.eligible, c.seconds))


def best(a: QuantizedTensor, found: list[Candidate], x: str) -> Candidate:
    """The candidate to run."""
    chosen, own = pick(found), [c for c in found if not c.variant.is_dense]
    large = copy_bytes(a, x) > LARGE * a.nbytes
    if large and chosen.variant.is_dense and own and own[0].seconds < LARGE_GAIN * chosen.seconds:
        return own[0]
    return chosen


def copy_bytes(a: QuantizedTensor, x: str) -> int:
    """Bytes of :func:`dense_copy`."""
    return math.prod(a.shape) * ELEMENT_BYTES[x]


def problem_of(a: QuantizedTensor, columns: int, x: str) -> Problem:
    """The product as predictions know it: of bytes, or of the values in f32."""
    values = np.empty(a.count, np.int8 if x == "i8" else np.float32)
    return Problem.of(SparseTensor(a.shape, a.format, (*a.buffers[:-1], values), a.hss), columns)


def dense_copy(a: QuantizedTensor, x: str) -> np.ndarray | None:
    """Every element, row by row: the integers, or what they stand for. Made once per matrix; None where it may not."""
    kept = _kept(a)
    if not kept.may_copy(a.shape, x):
        return None
    copy = kept.dense.get(x)
    if copy is None:
        stored = a.dequantize() if x == "f32" else SparseTensor(a.shape, a.format, (*a.buffers[:-1], a.integers))
        copy = kept.unpacked(stored, x)
    return copy


def transposed(a: QuantizedTensor) -> QuantizedTensor:
    """The transposed matrix, one and the same: it remembers what is decided about its products."""
    plans = _kept(a).plans
    if "T" not in plans:
        plans["T"] = a.T
    return plans["T"]


def _kept(a: QuantizedTensor) -> Products:
    """What products remember of a matrix."""
    return products_of(cast(SparseTensor, a))


def _decoding_tile(problem: Problem) -> str:
    """The register tile of weights that the load dequantises."""
    from pith.lowering.isa import parse_isa
    from pith.lowering.panel.variant import Roles, default_variant

    return str(default_variant(Roles.of(problem.format, 0), problem.columns, 4, parse_isa(problem.isa)))


def _kernel(a: QuantizedTensor, chosen: Candidate, columns: int, x: str, how: tuple[Any, ...]) -> Kernel:
    """The kernel of a candidate; few of them differ."""
    from pith.lowering.panel.variant import Roles, size_class

    fmt, bits, group, tile = a.format, a.bits, a.group, chosen.variant.attribute
    if chosen.variant.is_dense:
        problem = problem_of(a, columns, x).unpacked
        fmt, bits, group = WHOLE, 8 if x == "i8" else 32, None
        tile = pick(rank(problem, "sparse")).variant.attribute
    multiple = size_class(Roles.of(fmt, 0), a.shape[1])
    # Of bytes that are all stored, row by row: dot products of rows as they lie. 4096x4096 in 0.7 ms instead of 6.
    column = columns == 1 and fmt.is_dense and (x == "i8" or group is not None or bits == 32)
    if column and group is not None and a.shape[1] % group == 0:
        multiple = math.lcm(multiple, group)
    return _compiled(QuantizedProduct(fmt, bits, group, x, *how), tile, multiple, column)


@functools.cache
def _compiled(product: QuantizedProduct, variant: str | None, multiple: int, column: bool) -> Kernel:
    return compile_source(quantized_source(product, variant, multiple, column), "quantized")
