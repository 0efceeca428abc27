"""bf16, f16, int8 and int4 products: against torch's dense products of the same type, and against honest dense rivals.

Dense bf16 and int8 in torch are slow on processors without instructions for them. So every case also
meets dense f32, in torch and in pith, and pith's own dense kernel of the same type.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pith

from bench import rivals
from bench.harness import Contest, Outcome, geomean
from bench.machine import lacking
from bench.operands import SHAPES, aligned, weights
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: Element type -> formats; 10 divides no shape, so those formats pad.
FORMATS = {
    "bf16": (
        *("C0(2:4)", "C0(1:4)", "C1(2:4)->C0(2:4)", "B(4x4)C0(1:2)", "B(4x4)C0(1:4)"),
        *("B(16x16)C0(1:2)", "B(16x16)C0(1:4)", "B(16x16)C0(1:10) pad"),
    ),
    "f16": ("C0(2:4)", "B(16x16)C0(1:4)"),
    "i8": ("C0(2:4)", "V(4)C0(2:4)", "B(4x1)C0(3:10) pad", "B(4x1)C0(1:10) pad", "B(16x16)C0(1:2)"),
    "i8 to i8": ("C0(2:4)", "B(4x1)C0(1:2)"),
    "i4": ("C0(2:4)", "C1(2:4)->C0(2:4)", "V(4)C0(2:4)", "B(16x16)C0(1:2)"),
}

#: The shapes of all suites, and few columns that come with weights from memory.
ALL_SHAPES = (*SHAPES, (4096, 4096, 16))

#: Columns up to which weights are what a product waits for.
FEW_COLUMNS = 16

#: What processors need for a product of the type that torch takes from oneDNN.
NEEDED = {
    "bf16": "avx512_bf16",
    "f16": "avx512_fp16",
    "i8": "avx512_vnni",
    "i8 to i8": "avx512_vnni",
    "i4": "avx512_bf16",
}

#: What the numbers for bf16 are asked of. Without it oneDNN multiplies by ``vdpbf16ps``, at half of f32's rate on
#: Intel's cores (120 GF/s beside 200-260, Emerald Rapids, 2026-11): dense bf16 is a slower rival, and the text says so.
WRITTEN_FOR = {"bf16": "amx_bf16"}

#: Seconds that timing a case should take: there are 250.
SECONDS = 0.15

OWN, OWN_DENSE, OWN_F32 = "pith", "pith dense", "pith f32"
TORCH, PACKED, TORCH_F32 = "torch dense", "torch packed", "torch dense f32"


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked over the fastest of torch's dense products of the same type, on one thread.

    Attributes:
        least, most: columns that it is asked for.
        limit: speed-up at least.
        of: the worst case where nothing may be slower, else the mean.
        name: contestant.
    """

    element: str
    formats: tuple[str, ...]
    limit: float
    of: str = "mean"
    least: int = 1
    most: int = 1 << 30
    name: str = OWN


ASKED = (
    Asked("bf16", ("B(16x16)C0(1:2)",), 2.0),
    Asked("bf16", ("B(16x16)C0(1:4)",), 4.5),
    Asked("bf16", ("B(16x16)C0(1:10) pad",), 9.0),
    Asked("bf16", FORMATS["bf16"][:5], 1.0, "worst case"),
    Asked("bf16", ("C0(2:4)", "B(4x4)C0(1:2)"), 1.3, most=FEW_COLUMNS),
    Asked("bf16", ("C0(1:4)", "B(4x4)C0(1:4)"), 2.0, most=FEW_COLUMNS),
    Asked("bf16", FORMATS["bf16"], 1 / 1.3, "worst case", least=64, name=OWN_DENSE),
    Asked("i8", ("B(4x1)C0(3:10) pad",), 1.0),
    Asked("i8", ("B(4x1)C0(1:10) pad",), 2.0),
)

#: What the summary compares, beside the fastest of torch's products of the type.
COMPARED = ((OWN, TORCH_F32), (OWN, OWN_F32), (OWN, OWN_DENSE))

#: Values of 4 bits that share a scale and a zero point.
GROUP = 64

#: Largest int8 weight: oneDNN without VNNI saturates sums of two larger products, which would be another result.
LARGEST = 63

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over dense torch in f32, conversions left out.",
    f"`{OWN}`: sparse, of the type named; `{OWN_DENSE}`: pith's kernel of the same type for unpruned weights;",
    f"`{OWN_F32}`: the same sparse weights in f32; `{TORCH}`: torch's product of the type (i4: of bf16);",
    f"`{PACKED}`: oneDNN's quantised layer, or torch's product with int4 weights, both packed beforehand.",
    "Where the processor has no instructions for a type, torch's product of it takes seconds: it joins one case.",
    "i8 to i8: a scale per row of weights, the result rounded to bytes.",
    f"i4: weights in groups of {GROUP}, times f32; in torch times bf16.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite: a sweep per element type, whose rivals differ."""
    report = Report("lowprecision", "Low-precision structured sparsity x dense", notes=list(NOTES))
    shapes = ALL_SHAPES[1:2] if options.quick else ALL_SHAPES
    sweeps = {element: Sweep(options, SECONDS) for element in FORMATS}
    for element, formats in FORMATS.items():
        before = len(report.tables)
        sweeps[element].run(_contests(shapes, formats[: 1 if options.quick else None], element), report, progress)
        report.tables[before:] = [dataclasses.replace(t, title=f"{element}, {t.title}") for t in report.tables[before:]]
    report.tables[:0] = [_summary(sweeps, threads) for threads in options.threads]
    report.requirements += [_requirement(sweeps[asked.element], asked) for asked in ASKED]
    return report


def _contests(shapes: Any, formats: tuple[str, ...], element: str) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for shape in shapes:
        for fmt in formats:
            pruned = pith.prune(weights(*shape[:2]), fmt)
            name = f"{'x'.join(map(str, shape))} {fmt} {element}"
            contest = _MAKE[element](name, pruned, shape[2], fmt)
            if lacking(NEEDED[element]) and (shape, fmt) != (shapes[0], formats[0]):
                rivals = {name: call for name, call in contest.contestants.items() if name != TORCH}
                contest = dataclasses.replace(contest, contestants=rivals)
            yield contest, {"shape": shape, "format": fmt, "element": element}


def _half(type_: Any, name: str, pruned: np.ndarray, columns: int, fmt: str) -> Contest:
    w, x = pruned.astype(type_), _random(pruned.shape[1], columns).astype(type_)
    return _contest(name, w, x, fmt, {TORCH: rivals.torch_half(w, x)}, 1e-2)


def _i8(name: str, pruned: np.ndarray, columns: int, fmt: str) -> Contest:
    rng = np.random.default_rng(3)
    w = rng.integers(1, LARGEST + 1, pruned.shape, np.int8) * (pruned != 0)
    x = _bytes(pruned.shape[1], columns)
    made = {TORCH: rivals.torch_int_mm(w, x)}
    made |= _packed(rivals.torch_quantized_linear, w, x, np.ones(len(w), np.float32))
    return _contest(name, w, x, fmt, made, 1e-6)


def _i8_to_i8(name: str, pruned: np.ndarray, columns: int, fmt: str) -> Contest:
    q, dense, x = pith.quantize(pruned, fmt), pith.quantize(pruned), _bytes(pruned.shape[1], columns)
    integers = dense.integers.reshape(pruned.shape)
    exact = (integers.astype(np.float64) @ x) * q.scales[:, None]
    scale = float(np.abs(exact).max() / 127)
    stored = q.dequantize()
    stored = dataclasses.replace(stored, buffers=(*stored.buffers[:-1], stored.values / np.float32(scale)))
    contestants = {
        OWN: lambda: q.matmul(x, out_scale=scale),
        OWN_DENSE: lambda: dense.matmul(x, out_scale=scale),
        # Without VNNI oneDNN saturates sums of two products.
        **({} if lacking(NEEDED["i8"]) else _packed(rivals.torch_quantized_linear, integers, x, q.scales, scale)),
        **_wide(stored, integers * (q.scales / np.float32(scale))[:, None], x.astype(np.float32)),
    }
    return Contest(name, contestants, TORCH_F32, np.rint(exact / scale), 2e-2, 2.0 * q.count * columns)


def _i4(name: str, pruned: np.ndarray, columns: int, fmt: str) -> Contest:
    x = aligned(_random(pruned.shape[1], columns))
    q, dense = (pith.quantize(pruned, f, bits=4, group=GROUP) for f in (fmt, "dense"))
    stored = q.dequantize()
    w = stored.to_dense()
    of_groups = dense.integers.reshape(w.shape), dense.scales, dense.zero_points
    contestants = {
        OWN: lambda: q @ x,
        OWN_DENSE: lambda: dense @ x,
        TORCH: rivals.torch_half(*(array.astype(ml_dtypes.bfloat16) for array in (w, x))),
        **_packed(rivals.torch_int4, *of_groups, x, GROUP),
        **_wide(stored, w, x),
    }
    # Groups of dense storage round the same weights to other integers: by half a step of 15, at most.
    return Contest(name, contestants, TORCH_F32, w.astype(np.float64) @ x, 0.2, 2.0 * stored.nnz * columns)


def _contest(
    name: str, w: np.ndarray, x: np.ndarray, fmt: str, products: Mapping[str, Callable[[], Any]], tolerance: float
) -> Contest:
    stored, unpruned = pith.compress(w, fmt), pith.compress(w, "dense")
    contestants = {
        OWN: lambda: pith.matmul(stored, x, variant="sparse"),
        OWN_DENSE: lambda: pith.matmul(unpruned, x, variant="sparse"),
        **products,
        **_wide(stored.astype(np.float32), w.astype(np.float32), aligned(x.astype(np.float32))),
    }
    reference = w.astype(np.float64) @ x.astype(np.float64)
    return Contest(name, contestants, TORCH_F32, reference, tolerance, 2.0 * stored.nnz * x.shape[1])


def _wide(stored: pith.SparseTensor, w: np.ndarray, x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """The product in f32: pith's on what is stored, torch's of all of it."""
    stored = dataclasses.replace(stored, buffers=tuple(map(aligned, stored.buffers)))
    return {
        OWN_F32: lambda: pith.matmul(stored, x, variant="sparse"),
        TORCH_F32: rivals.torch_f32(w, x),
    }


def _packed(make: Callable[..., rivals.Call], *args: Any) -> dict[str, rivals.Call]:
    call = rivals.quietly(make, *args)
    return {} if call is None else {PACKED: call}


def _random(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((rows, columns), np.float32)


def _bytes(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(4).integers(-127, 128, (rows, columns)).astype(np.int8)


_MAKE = {
    "bf16": functools.partial(_half, ml_dtypes.bfloat16),
    "f16": functools.partial(_half, np.float16),
    "i8": _i8,
    "i8 to i8": _i8_to_i8,
    "i4": _i4,
}


def _over_torch(outcome: Outcome, name: str = OWN) -> float | None:
    """The speed-up over the fastest of torch's products of the type; None where it has none."""
    ratios = [outcome.speedup(name, over) for over in (TORCH, PACKED) if over in outcome.timings]
    return min(ratios, default=None)


def _requirement(sweep: Sweep, asked: Asked) -> Requirement:
    found = [
        _over_torch(outcome, asked.name)
        for facts, outcome in sweep.found.get(1, [])
        if facts["format"] in asked.formats and asked.least <= facts["shape"][2] <= asked.most
    ]
    ratios = [ratio for ratio in found if ratio is not None]
    measured = (min if asked.of == "worst case" else geomean)(ratios) if ratios else None
    few = f", up to {asked.most} columns" if asked.most <= FEW_COLUMNS else ""
    few += f", {asked.least} columns and more" if asked.least > 1 else ""
    asked_of = lacking(WRITTEN_FOR[asked.element]) if asked.element in WRITTEN_FOR else ""
    note = f" (asked of {asked_of}, this machine has none)" if asked_of else ""
    what = "dense" if asked.name == OWN_DENSE else ", ".join(asked.formats)
    text = f"{asked.element} {what} over torch's dense {asked.element}{few}, 1 thread, {asked.of}{note}"
    return Requirement(text, measured, asked.limit, "x", True, lacking(NEEDED[asked.element]))


def _summary(sweeps: Mapping[str, Sweep], threads: int) -> Table:
    """Geometric means over the shapes, per element type and format."""
    rows = []
    for element, sweep in sweeps.items():
        for fmt in FORMATS[element]:
            if sweep.select(threads, format=fmt):
                means = sweep.means(threads, COMPARED, format=fmt)
                same = [x for o in sweep.select(threads, format=fmt) if (x := _over_torch(o)) is not None]
                over = f"{geomean(same):.2f}" if same else "-"
                rows.append((element, fmt, f"{pith.HSS.parse(fmt).density:.3f}", over, *(f"{m:.2f}" for m in means)))
    columns = ("type", "format", "density", f"{OWN} / torch of the type", *(f"{n} / {over}" for n, over in COMPARED))
    return Table(f"Speed-ups, geometric mean over shapes, {plural(threads)}", columns, tuple(rows))
