"""bf16, int8 and int4 products: against torch's dense product of the same type, and against honest dense rivals.

Dense bf16 and int8 in torch are slow on processors without instructions for them. So every case also
meets dense f32, in torch and in pith, and pith's own dense kernel of the same type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pith
import torch

from bench.harness import Contest, geomean
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
    "i8": ("C0(2:4)", "V(4)C0(2:4)", "B(4x1)C0(3:10) pad", "B(4x1)C0(1:10) pad", "B(16x16)C0(1:2)"),
    "i4": ("C0(2:4)", "C1(2:4)->C0(2:4)", "V(4)C0(2:4)", "B(16x16)C0(1:2)"),
}

#: The shapes of all suites, and few columns that come with weights from memory.
ALL_SHAPES = (*SHAPES, (4096, 4096, 16))

#: Columns up to which weights are what a product waits for.
FEW_COLUMNS = 16

#: What processors need for a product of the type that torch takes from oneDNN.
NEEDED = {"bf16": "avx512_bf16", "i8": "avx512_vnni"}

#: What the numbers for bf16 are asked of. Without it oneDNN multiplies by ``vdpbf16ps``, at half of f32's rate on
#: Intel's cores (120 GF/s beside 200-260, Emerald Rapids, 2026-11): dense bf16 is a slower rival, and the text says so.
WRITTEN_FOR = {"bf16": "amx_bf16"}

#: Seconds that timing a case should take: there are 200.
SECONDS = 0.4

OWN, OWN_DENSE, OWN_F32 = "pith", "pith dense", "pith f32"
TORCH, TORCH_F32 = "torch dense", "torch dense f32"

#: What is asked over torch's dense product of the same type, on one thread: (element, formats, columns at most, at
#: least, of what). The worst case counts where nothing may be slower, else the mean.
ASKED = (
    *(("bf16", (f"B(16x16)C0({nm}",), None, x, "mean") for nm, x in (("1:2)", 2.0), ("1:4)", 4.5), ("1:10) pad", 9.0))),
    ("bf16", FORMATS["bf16"][:5], None, 1.0, "worst case"),
    ("bf16", ("C0(2:4)", "B(4x4)C0(1:2)"), FEW_COLUMNS, 1.3, "mean"),
    ("bf16", ("C0(1:4)", "B(4x4)C0(1:4)"), FEW_COLUMNS, 2.0, "mean"),
    ("i8", ("B(4x1)C0(3:10) pad",), None, 1.0, "mean"),
    ("i8", ("B(4x1)C0(1:10) pad",), None, 2.0, "mean"),
)

#: What the summary compares; torch has no product of int4 weights on every processor.
COMPARED = ((OWN, TORCH_F32), (OWN, OWN_F32), (OWN, OWN_DENSE))

#: Values of 4 bits that share a scale and a zero point.
GROUP = 64

#: Largest int8 weight: oneDNN without VNNI saturates sums of two larger products, which would be another result.
LARGEST = 63

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over dense torch in f32, conversions left out.",
    f"`{OWN}`: sparse, of the type named; `{OWN_DENSE}`: pith's kernel of the same type for unpruned weights;",
    f"`{OWN_F32}`: the same sparse weights in f32; `{TORCH}`: torch's product of the type, where it has one.",
    "Where the processor has no instructions for a type, torch's product of it takes seconds: it joins one case.",
    f"i4: weights in groups of {GROUP}, times f32.",
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
    report.requirements += [_requirement(sweeps[asked[0]], *asked) for asked in ASKED]
    return report


def _contests(shapes: Any, formats: tuple[str, ...], element: str) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for shape in shapes:
        for fmt in formats:
            pruned = pith.prune(weights(*shape[:2]), fmt)
            name = f"{'x'.join(map(str, shape))} {fmt} {element}"
            contest = _MAKE[element](name, pruned, shape[2], fmt)
            if element in NEEDED and lacking(NEEDED[element]) and (shape, fmt) != (shapes[0], formats[0]):
                rivals = {name: call for name, call in contest.contestants.items() if name != TORCH}
                contest = dataclasses.replace(contest, contestants=rivals)
            yield contest, {"shape": shape, "format": fmt, "element": element}


def _bf16(name: str, pruned: np.ndarray, columns: int, fmt: str) -> Contest:
    w, x = pruned.astype(ml_dtypes.bfloat16), _random(pruned.shape[1], columns).astype(ml_dtypes.bfloat16)
    rival = [torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) for array in (w, x)]
    return _contest(name, w, x, fmt, lambda: torch.mm(*rival).float(), 1e-2)


def _i8(name: str, pruned: np.ndarray, columns: int, fmt: str) -> Contest:
    rng = np.random.default_rng(3)
    w = np.where(pruned != 0, rng.integers(1, LARGEST + 1, pruned.shape), 0).astype(np.int8)
    x = rng.integers(-127, 128, (pruned.shape[1], columns)).astype(np.int8)
    rival = torch.from_numpy(w), torch.from_numpy(x)
    return _contest(name, w, x, fmt, lambda: torch._int_mm(*rival), 1e-6)


def _i4(name: str, pruned: np.ndarray, columns: int, fmt: str) -> Contest:
    x = aligned(_random(pruned.shape[1], columns))
    q = pith.quantize(pruned, fmt, bits=4, group=GROUP)
    dense = pith.quantize(pruned, bits=4, group=GROUP)
    stored = q.dequantize()
    w = stored.to_dense()
    contestants = {
        OWN: lambda: q @ x,
        OWN_F32: lambda: pith.matmul(stored, x, variant="sparse"),
        OWN_DENSE: lambda: dense @ x,
        **_torch_f32(w, x),
    }
    # Groups of dense storage round the same weights to other integers: by half a step of 15, at most.
    return Contest(name, contestants, TORCH_F32, w.astype(np.float64) @ x, 0.2, 2.0 * stored.nnz * columns)


def _contest(
    name: str, w: np.ndarray, x: np.ndarray, fmt: str, product: Callable[[], Any], tolerance: float
) -> Contest:
    stored, unpruned = pith.compress(w, fmt), pith.compress(w, "dense")
    wide = pith.compress(aligned(w.astype(np.float32)), fmt)
    x32 = aligned(x.astype(np.float32))
    contestants = {
        OWN: lambda: pith.matmul(stored, x, variant="sparse"),
        OWN_F32: lambda: pith.matmul(wide, x32, variant="sparse"),
        OWN_DENSE: lambda: pith.matmul(unpruned, x, variant="sparse"),
        TORCH: product,
        **_torch_f32(w.astype(np.float32), x32),
    }
    reference = w.astype(np.float64) @ x.astype(np.float64)
    return Contest(name, contestants, TORCH_F32, reference, tolerance, 2.0 * stored.nnz * x.shape[1])


def _torch_f32(w: np.ndarray, x: np.ndarray) -> dict[str, Callable[[], Any]]:
    operands = torch.from_numpy(aligned(w)), torch.from_numpy(x)
    return {TORCH_F32: lambda: torch.mm(*operands)}


def _random(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((rows, columns), np.float32)


_MAKE = {"bf16": _bf16, "i8": _i8, "i4": _i4}


def _requirement(
    sweep: Sweep, element: str, formats: tuple[str, ...], columns: int | None, limit: float, of: str
) -> Requirement:
    found = [
        outcome
        for facts, outcome in sweep.found.get(1, [])
        if facts["format"] in formats and (columns is None or facts["shape"][2] <= columns)
    ]
    few = f", up to {columns} columns" if columns else ""
    ratios = [outcome.speedup(OWN, TORCH) for outcome in found if TORCH in outcome.timings]
    measured = (min if of == "worst case" else geomean)(ratios) if ratios else None
    asked_of = lacking(WRITTEN_FOR[element]) if element in WRITTEN_FOR else ""
    note = f" (asked of {asked_of}, this machine has none)" if asked_of else ""
    text = f"{element} {', '.join(formats)} over dense {element}{few}, 1 thread, {of}{note}"
    return Requirement(text, measured, limit, "x", True, lacking(NEEDED[element]))


def _summary(sweeps: Mapping[str, Sweep], threads: int) -> Table:
    """Geometric means over the shapes, per element type and format."""
    rows = []
    for element, sweep in sweeps.items():
        for fmt in FORMATS[element]:
            if sweep.select(threads, format=fmt):
                means = sweep.means(threads, COMPARED, format=fmt)
                rows.append((element, fmt, f"{pith.HSS.parse(fmt).density:.3f}", *(f"{m:.2f}" for m in means)))
    columns = ("type", "format", "density", *(f"{name} / {over}" for name, over in COMPARED))
    return Table(f"Speed-ups, geometric mean over shapes, {plural(threads)}", columns, tuple(rows))
