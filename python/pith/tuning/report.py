"""``pith.explain``: the candidates for a product, what they are predicted to take, and which one runs."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from pith.lowering.isa import host_isa

from ..compiler.widening import widening_text
from ..errors import ArgumentError, UnsupportedError
from ..formats.parse import format_name
from ..functional.dynamic.dynamic import Dynamic
from ..quantization import QuantizedTensor
from ..sparse import SparseTensor, taken_over
from .database import Calibration, calibration_for
from .problem import Problem
from .select import Candidate, choose, rank

#: How to ask about other calls than products.
_CALL = "pith.explain(pith.linear, x, w, bias): the function comes first"

#: Public function -> what explains its calls, and takes what it takes.
_EXPLAINED = {
    "matmul": "tuning.report:explain",
    "linear": "functional.linear.report:explain_linear",
    "conv2d": "functional.conv2d.named:explain_conv2d",
    "sddmm": "functional.sddmm.sddmm:explain_sddmm",
    "moe": "workloads.report:explain_moe",
    "grouped_matmul": "workloads.report:explain_grouped",
    "relu_ffn": "workloads.report:explain_relu_ffn",
}


def explain(a: Any, *operands: Any, variant: str = "auto", measure: bool = False, **options: Any) -> str:
    """What ``pith.matmul(a, b, variant=variant)`` runs, and why, of ``explain(a, b)``; the same of another function's
    call with operands and options, of ``explain(pith.linear, x, w, bias)``.

    Args:
        a, b: as for :func:`pith.matmul`, quantised weights too; of the dense operand only the shape is looked at.
            One may be marked with :func:`pith.dynamic`: its sparsity is sampled. Or ``a`` is a function, and what
            follows are its operands: :func:`pith.linear`, :func:`pith.conv2d`, :func:`pith.sddmm`, :func:`pith.moe`,
            :func:`pith.grouped_matmul`, :func:`pith.relu_ffn`. Where a function has one kernel, it is named, with what
            it is predicted to take beside dense where that is known.
        measure: also time the best candidates of a dynamic product.
    Returns: a table of the candidates: predicted times, how they compare, and what they are made of; of a dynamic
        product the sparsity each covers and the share of its work that falls on zeros.
    Errors: :class:`pith.ArgumentError` when neither operand is sparse, :class:`pith.ShapeError` when
        they do not fit, :class:`pith.UnsupportedError` for a variant there is not.

    Example:
        >>> import numpy as np, pith
        >>> A = pith.compress(np.eye(64, dtype=np.float32), "csr")
        >>> print(pith.explain(A, np.ones((64, 8), np.float32)).splitlines()[0])
        64x64 f32 as csr, 1.6 % stored, times 64x8
        >>> print(pith.explain(pith.linear, np.ones((8, 64), np.float32), A).splitlines()[0])
        8x64 through 64x64 f32 as csr, 1.6 % stored
    """
    if callable(a):
        said = {"variant": variant} if variant != "auto" else {}
        return _explain_call(a, operands, said | options, measure)
    if len(operands) != 1 or options:
        given = ", ".join(options) or f"{1 + len(operands)} operands"
        raise ArgumentError(f"expects two operands of a product, got {given}", where="pith.explain", hint=_CALL)
    (b,) = operands
    if isinstance(a, Dynamic) or isinstance(b, Dynamic):
        from ..functional.dynamic.report import explain_dynamic

        return explain_dynamic(a, b, variant, measure)
    a, b = taken_over(a), taken_over(b)
    tensor, other, side = (a, b, "left") if isinstance(a, (SparseTensor, QuantizedTensor)) else (b, a, "right")
    if isinstance(tensor, QuantizedTensor):
        return explain_quantized(tensor, columns_of(tensor, other, side), getattr(other, "dtype", ""), side, variant)
    if not isinstance(tensor, SparseTensor):
        raise ArgumentError(
            "expects a sparse operand", where="pith.explain", hint="dense products are NumPy's or torch's own"
        )
    from ..functional.matmul.row_order import COLUMNS_BEFORE, may_reorder

    problem = Problem.of(tensor, columns_of(tensor, other, side), side=side)
    table = explain_problem(problem, variant, name=str(tensor.hss or format_name(tensor.format)))
    if variant in ("auto", "sparse") and may_reorder(problem.format, problem.kept_dim):
        table += f"\nrepeated: after {COLUMNS_BEFORE} columns on a copy in row order, which finishes rows in registers"
    return table


def _explain_call(function: Any, operands: Sequence[Any], options: Mapping[str, Any], measure: bool) -> str:
    """What a call of a public function runs."""
    import pith

    name = getattr(function, "__name__", "")
    if name not in _EXPLAINED or getattr(pith, name) is not function:
        hint = ", ".join(f"pith.{known}" for known in _EXPLAINED)
        raise ArgumentError(f"explains no calls of {name or function!r}", where="pith.explain", hint=f"those of {hint}")
    if any(getattr(v, "is_cuda", False) for v in operands):
        hint = "pith.compile(..., target=...).explain() tells of kernels for GPUs"
        raise UnsupportedError("explains what runs on the CPU", where="pith.explain", hint=hint)
    if measure and function is not pith.matmul:
        hint = "leave measure out"
        raise UnsupportedError(f"times products, no calls of {name}", where="pith.explain: measure", hint=hint)
    try:
        inspect.signature(function).bind(*operands, **options)
    except TypeError as error:
        hint = f"what pith.{name} takes: help(pith.{name})"
        raise ArgumentError(f"pith.{name} takes no such call: {error}", where="pith.explain", hint=hint) from None
    options = {**options, "measure": True} if measure else options
    module, _, explains = _EXPLAINED[name].partition(":")
    return getattr(importlib.import_module(f"pith.{module}"), explains)(*operands, **options)


def explain_quantized(q: QuantizedTensor, columns: int, dtype: Any, side: str = "left", variant: str = "auto") -> str:
    """Products with quantised weights: the kernels on what is stored and on a dense copy, and what that takes.

    Args:
        dtype: of what it is multiplied with.
    """
    from ..functional.matmul.quantized_plan import best, candidates, copy_bytes, problem_of

    by_bytes = str(dtype).removeprefix("torch.") == "int8" and q.group is None
    scales = "a scale per row" if q.group is None else f"a scale and zero point per group of {q.group}"
    name = q.hss or format_name(q.format)
    sparse = f"{q.shape[0]}x{q.shape[1]} i{q.bits}, {scales}, as {name}"
    stored = f"{100 * q.count / max(1, q.shape[0] * q.shape[1]):.1f} % stored"
    if side == "right" and q.group is None:
        return f"{columns}x{q.shape[0]} times {sparse}, {stored}\ndoes not run: a scale per row stands on the left"
    heading = f"{sparse}, {stored}, times {q.shape[1]}x{columns}"
    if side == "right":
        heading, q = f"{columns}x{q.shape[0]} times {sparse}, {stored}", q.T
    x = "i8" if by_bytes else "f32"
    ranked, problem = candidates(q, columns, x, variant), problem_of(q, columns, x)
    chosen = best(q, ranked, x)
    how = f"on a copy of {copy_bytes(q, x)} bytes beside {q.nbytes}" if chosen.variant.is_dense else "on what is stored"
    kind = "bytes are multiplied" if by_bytes else "f32 is multiplied by what the load dequantises"
    if chosen.variant.is_dense and not by_bytes:
        kind = "f32 is multiplied by f32"
    return "\n".join(
        [heading, *candidates_of(problem, ranked, chosen), "", f"{verdict(ranked, chosen)}; {kind}, {how}"]
    )


def explain_problem(
    problem: Problem, variant: str = "auto", *, name: str | None = None, measured: Mapping[str, float] | None = None
) -> str:
    """The table for a problem; ``measured``: variant -> seconds, shown beside the predictions."""
    ranked, chosen = rank(problem, variant), choose(problem, variant)
    table = candidates_of(problem, ranked, chosen, measured)
    return "\n".join([_heading(problem, name), *table, "", verdict(ranked, chosen)])


def candidates_of(
    problem: Problem, ranked: Sequence[Candidate], chosen: Candidate, measured: Mapping[str, float] | None = None
) -> list[str]:
    """Where predictions come from, and a line per candidate."""
    calibration = calibration_for(problem.threads)
    nearest = "" if calibration.threads == problem.threads else f", nearest to {problem.threads}"
    source = f"times from: {calibration.describe()}{nearest}{_accuracy(calibration, problem, ranked)}"
    widened = widening_text(problem.element, host_isa())
    return [source, *([widened] if widened else []), "", *_table(ranked, chosen, measured or {})]


def verdict(ranked: Sequence[Candidate], chosen: Candidate) -> str:
    """One sentence: what runs, and against what it won."""
    rivals = [c for c in ranked if c.variant.is_dense != chosen.variant.is_dense and c.eligible]
    if not rivals:
        return f"runs {chosen.name}"
    rival = rivals[0]
    ratio = rival.seconds / chosen.seconds
    known = "measured" if rival.measured and chosen.measured else "predicted"
    if ratio < 1:
        return f"runs {chosen.name}: {rival.name} is {known} to gain {1 / ratio - 1:.1%}, too little for a copy"
    return f"runs {chosen.name}: {known} {ratio:.2f}x as fast as {rival.name}"


def seconds_text(seconds: float) -> str:
    """A time in a unit that suits it.

    >>> seconds_text(3.2e-6), seconds_text(0.0123), seconds_text(2)
    ('3.2 us', '12.3 ms', '2 s')
    """
    unit, scale = ("us", 1e6) if seconds < 1e-3 else ("ms", 1e3) if seconds < 1 else ("s", 1.0)
    return f"{seconds * scale:.3g} {unit}"


def columns_of(tensor: SparseTensor | QuantizedTensor, other: Any, side: str) -> int:
    """The size of the dense operand's free dimension, as the kernel sees it."""
    from ..functional.matmul.matmul import result_shape

    shape = getattr(other, "shape", None)
    if shape is None:
        raise ArgumentError(f"expects an array, got {type(other).__name__}", where="pith.explain")
    flat, _ = result_shape(tensor.shape, tuple(shape), side == "right")
    return flat[0] if side == "right" else flat[-1]


def _heading(problem: Problem, name: str | None) -> str:
    rows, columns = problem.shape
    sparse = stored_text(problem, name)
    if problem.side == "left":
        return f"{sparse}, times {columns}x{problem.columns}"
    return f"{problem.columns}x{rows} times {sparse}"


def stored_text(problem: Problem, name: str | None = None) -> str:
    """The stored operand of a problem; ``name``: what its format is called."""
    rows, columns = problem.shape
    stored = f"{name or format_name(problem.format)}, {100 * problem.density:.1f} % stored"
    return f"{rows}x{columns} {problem.element} as {stored}"


def _accuracy(calibration: Calibration, problem: Problem, ranked: Sequence[Candidate]) -> str:
    """The error on held-out shapes of the models that were asked, the worst of them."""
    names = {calibration.model(c.variant, problem.element)[1] for c in ranked}
    known = [accuracy for name, accuracy in calibration.accuracy.items() if name in names]
    if not known:
        return ""
    worst = max(known, key=lambda a: a.median)
    return f" (error on shapes held out: median {worst.median:.0%}, 90 % below {worst.p90:.0%})"


def _table(ranked: Sequence[Candidate], chosen: Candidate, measured: Mapping[str, float]) -> list[str]:
    columns = ["", "candidate", "predicted", "x", *(["measured"] if measured else []), "goes to"]
    rows = [columns]
    for c in ranked:
        row = ["*" if c is chosen else "", c.name, seconds_text(c.seconds), f"{c.seconds / chosen.seconds:.2f}"]
        if measured:
            row.append(seconds_text(measured[c.name]) if c.name in measured else "-")
        rows.append([*row, c.reason])
    widths = [max(len(r[i]) for r in rows) for i in range(len(columns) - 1)]
    return ["  ".join([*map(_aligned, range(len(widths)), row, widths), row[-1]]).rstrip() for row in rows]


def _aligned(column: int, cell: str, width: int) -> str:
    return f"{cell:<{width}}" if column < 2 else f"{cell:>{width}}"
