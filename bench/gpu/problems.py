"""Operands of every family, drawn at random on the device, and the result in float64."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .cases import Case
from .programs import RESULTS, pit_result
from .stored import Stored, stored

#: Element types by name.
DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "i8": torch.int8, "i32": torch.int32}

#: Largest ||result - reference|| / ||reference|| by element type of the result. Rounding the result is 3e-4 for f16
#: and 2e-3 for bf16. Tensor cores sum in f32, but cut where FMA rounds; tf32, at 3e-4, would not pass for f32. Sums of
#: bytes are exact.
TOLERANCES = {"f16": 2e-3, "bf16": 1e-2, "f32": 1e-4, "i32": 0.0}


@dataclasses.dataclass
class Problem:
    """One case's operands and what must come out.

    Attributes:
        arguments: of the program.
        written: numbers of those that the program writes to; they are filled with garbage before the check.
        error: results -> ||result - reference|| / ||reference||, infinite where something is missing.
        tolerance: largest error.
        parts: what peers compute with, by name.
        reference: the result in float64; None where it is no array.
        flops: operations on what is kept, for rates.
    """

    arguments: Sequence[Any]
    written: tuple[int, ...]
    error: Callable[[Sequence[torch.Tensor]], float]
    tolerance: float
    parts: Mapping[str, Any]
    reference: torch.Tensor | None
    flops: float

    def poison(self) -> None:
        """Fill what the program writes with NaN, or with the smallest integer."""
        for number in self.written:
            array = self.arguments[number]
            array.fill_(math.nan if array.is_floating_point() else torch.iinfo(array.dtype).min)


class Draw:
    """Random tensors on a device; another run's seed gives other data."""

    def __init__(self, case: Case, device: torch.device, seed: int):
        self.device = device
        self.generator = torch.Generator(device).manual_seed(zlib.crc32(case.name.encode()) ^ seed)

    def normal(self, *shape: int, element: str) -> torch.Tensor:
        """Standard normal values; small integers for integer types."""
        if element == "i8":
            return torch.randint(-8, 8, shape, generator=self.generator, device=self.device, dtype=torch.int8)
        return torch.randn(shape, generator=self.generator, device=self.device).to(DTYPES[element])

    def kept(self, *grid: int, empty: float) -> torch.Tensor:
        """Which places of a grid are kept: exactly a share, at random."""
        count = math.prod(grid)
        order = torch.rand(count, generator=self.generator, device=self.device).argsort()
        return (order < round(count * (1.0 - empty))).view(grid)


def relative_error(result: torch.Tensor, reference: torch.Tensor) -> float:
    """``||result - reference|| / ||reference||``; infinite for another shape or a NaN.

    >>> relative_error(torch.ones(2), torch.ones(2).double()), relative_error(torch.ones(3), torch.ones(2).double())
    (0.0, inf)
    """
    if result.shape != reference.shape:
        return math.inf
    wide = result.double()
    norm = float(torch.linalg.vector_norm(reference)) or 1.0
    error = float(torch.linalg.vector_norm(wide - reference)) / norm
    return error if math.isfinite(error) else math.inf


def problem(case: Case, device: torch.device, seed: int = 0) -> Problem:
    """Draw the operands of a case and compute its result in float64."""
    return PROBLEMS[case.family](Draw(case, device, seed), **case.build, **case.data)


def _of_array(
    arguments: Sequence[Any], reference: torch.Tensor, element: str, parts: Mapping[str, Any], flops: float
) -> Problem:
    """A problem whose one result is an array: the program's last argument."""
    return Problem(
        arguments, (len(arguments) - 1,), lambda results: relative_error(results[0], reference), TOLERANCES[element],
        parts, reference, flops,
    )  # fmt: skip


def _product(draw: Draw, a: torch.Tensor, b: torch.Tensor, result: str, keep: float = 1.0, **parts: Any) -> Problem:
    """``a @ b`` of dense operands."""
    out = torch.empty(a.shape[0], b.shape[1], device=draw.device, dtype=DTYPES[result])
    flops = 2.0 * a.shape[0] * a.shape[1] * b.shape[1] * keep
    return _of_array([a, b, out], a.double() @ b.double(), result, {"a": a, "b": b, **parts}, flops)


def _dense(draw: Draw, m: int, n: int, k: int, element: str, tile: str = "") -> Problem:
    return _product(draw, draw.normal(m, k, element=element), draw.normal(k, n, element=element), RESULTS[element])


def _masked(draw: Draw, a: torch.Tensor, block: Sequence[int], empty: float) -> torch.Tensor:
    """``a`` with a share of its blocks zeroed; what is kept has no zeros."""
    grid = [-(-n // g) for n, g in zip(a.shape, block)]
    mask = draw.kept(*grid, empty=empty).repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
    return torch.where(
        mask[: a.shape[0], : a.shape[1]], torch.where(a == 0, torch.ones_like(a), a), torch.zeros_like(a)
    )


def _pit(draw: Draw, m: int, n: int, k: int, element: str, block: Sequence[int], empty: float) -> Problem:
    a = _masked(draw, draw.normal(m, k, element=element), block, empty)
    b = draw.normal(k, n, element=element)
    return _product(draw, a, b, pit_result(element, block), 1.0 - empty, block=block)


def _axis(draw: Draw, m: int, n: int, k: int, element: str, axis: str, empty: float, resident: int = 0) -> Problem:
    a, b = draw.normal(m, k, element=element), draw.normal(k, n, element=element)
    if axis == "n":
        return _product(draw, a, _masked(draw, b, (k, 1), empty), element, 1.0 - empty)
    return _product(draw, _masked(draw, a, (1, k) if axis == "m" else (m, 1), empty), b, element, 1.0 - empty)


def _detect(draw: Draw, m: int, k: int, element: str, block: Sequence[int], empty: float) -> Problem:
    a = _masked(draw, draw.normal(m, k, element=element), block, empty)
    grid = [-(-n // g) for n, g in zip(a.shape, block)]
    whole = torch.zeros(grid[0] * block[0], grid[1] * block[1], dtype=torch.bool, device=draw.device)
    whole[:m, :k] = a != 0
    mask = whole.view(grid[0], block[0], grid[1], block[1]).any(3).any(1)

    def error(results: Sequence[torch.Tensor]) -> float:
        """0 when the list names every kept block once and nothing else."""
        listed = results[0]
        count = int(listed[0])
        if not 0 <= count <= (listed.numel() - 1) // 2:
            return math.inf
        at = listed[1 : 1 + 2 * count].view(count, 2).long()
        if count and (int(at.min()) < 0 or bool((at >= torch.tensor(grid, device=at.device)).any())):
            return math.inf
        found = torch.zeros(grid, dtype=torch.int64, device=at.device)
        found.index_put_((at[:, 0], at[:, 1]), torch.ones(count, dtype=torch.int64, device=at.device), accumulate=True)
        return float((found != mask).sum()) / mask.numel()

    return Problem([a], (), error, 0.0, {"a": a}, None, 0.0)


def _hss(draw: Draw, m: int, k: int, n: int, element: str, format: str) -> Problem:
    return _encoded(draw, stored(draw, (m, k), element, format), n, element)


def _csr(draw: Draw, m: int, k: int, n: int, element: str, empty: float) -> Problem:
    return _encoded(draw, stored(draw, (m, k), element, "csr", empty), n, element)


def _skinny(draw: Draw, m: int, k: int, n: int, element: str, empty: float) -> Problem:
    return _encoded(draw, stored(draw, (m, k), element, "C0(bitmask)", empty), n, element)


def _encoded(draw: Draw, a: Stored, n: int, element: str) -> Problem:
    b = draw.normal(a.dense.shape[1], n, element=element)
    out = torch.empty(a.dense.shape[0], n, device=draw.device, dtype=DTYPES[RESULTS[element]])
    parts, flops = {"a": a.dense, "b": b}, 2.0 * a.tensor.nse * n
    return _of_array([a.tensor, b, out], a.dense.double() @ b.double(), RESULTS[element], parts, flops)


def _spmv(draw: Draw, m: int, k: int, element: str, empty: float) -> Problem:
    a, x = stored(draw, (m, k), element, "csr", empty), draw.normal(k, element=element)
    arguments, parts = [a.tensor, x, torch.empty(m, device=draw.device, dtype=x.dtype)], {"a": a.dense, "b": x}
    return _of_array(arguments, a.dense.double() @ x.double(), element, parts, 2.0 * a.tensor.nse)


def _sddmm(draw: Draw, m: int, n: int, k: int, element: str, empty: float) -> Problem:
    """The values of a stored matrix, to which elements of a product are added; the check compares values."""
    s = stored(draw, (m, n), element, "csr", empty)
    a, b = draw.normal(m, k, element=element), draw.normal(k, n, element=element)
    product = a.double() @ b.double()
    rows, columns = (s.dense != 0).nonzero(as_tuple=True)
    reference = product[rows, columns] + s.dense[rows, columns].double()
    parts = {"s": s.dense, "a": a, "b": b}
    flops = 2.0 * s.tensor.nse * k
    # The values are added to in place: only the first run gives this.
    return Problem(
        [s.tensor, a, b], (), lambda results: relative_error(results[-1], reference), TOLERANCES[element], parts,
        reference, flops,
    )  # fmt: skip


def _moe(draw: Draw, tokens: int, experts: int, inner: int, outer: int, element: str, skew: float) -> Problem:
    x, w = draw.normal(tokens, inner, element=element), draw.normal(experts, inner, outer, element=element)
    weights = (torch.arange(1, experts + 1, device=draw.device, dtype=torch.float32)) ** -skew
    chosen = torch.multinomial(weights, tokens, replacement=True, generator=draw.generator).int()
    reference = torch.empty(tokens, outer, dtype=torch.float64, device=draw.device)
    for e in range(experts):
        rows = (chosen == e).nonzero()[:, 0]
        reference[rows] = x[rows].double() @ w[e].double()
    out = torch.empty(tokens, outer, device=draw.device)
    parts = {"x": x, "w": w, "e": chosen}
    return _of_array([chosen, x, w, out], reference, "f32", parts, 2.0 * tokens * inner * outer)


def _attention(
    draw: Draw, batch: int, heads: int, tokens: int, depth: int, element: str, kind: str, window: int = 0
) -> Problem:
    q, k, v = (draw.normal(batch, heads, tokens, depth, element=element) for _ in range(3))
    at = torch.arange(tokens, device=draw.device)
    begin = torch.zeros_like(at) if kind == "causal" else (at - window).clamp(min=0)
    end = at + 1 if kind == "causal" else (at + window + 1).clamp(max=tokens)
    seen = torch.stack([begin, end], 1)[None].int().contiguous()
    reference = torch.empty(batch, heads, tokens, depth, dtype=torch.float64, device=draw.device)
    hidden = (at[None, :] < begin[:, None]) | (at[None, :] >= end[:, None])
    for b in range(batch):
        for h in range(heads):
            scores = (q[b, h].double() @ k[b, h].double().T) * depth**-0.5
            reference[b, h] = torch.softmax(scores.masked_fill(hidden, -math.inf), -1) @ v[b, h].double()
    arguments = [q, k, v, seen, torch.empty_like(q)]
    parts = {"q": q, "k": k, "v": v, "begin": begin, "end": end, "kind": kind, "window": window}
    return _of_array(arguments, reference, element, parts, 4.0 * batch * heads * depth * float((end - begin).sum()))


#: Family -> its operands, from what a case builds and what its data are.
PROBLEMS: dict[str, Callable[..., Problem]] = {
    "dense": _dense,
    "pit": _pit,
    "axis": _axis,
    "detect": _detect,
    "hss": _hss,
    "csr": _csr,
    "skinny": _skinny,
    "spmv": _spmv,
    "sddmm": _sddmm,
    "moe": _moe,
    "attention": _attention,
}
