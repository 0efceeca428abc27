"""Dense products, f32, single and in batches: pith's own kernels against torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pith
import torch

from bench.harness import Contest
from bench.operands import aligned, poisoned
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

PITH, TORCH = "pith", "torch"

#: Columns from which on the dense kernel is to keep up with the library's.
MANY_COLUMNS = 64

#: What is asked for, and speeds below which a case is timed again. The gradient of weights on two threads was found at
#: 0.865, 0.89 and 0.92 of torch within a day (Emerald Rapids, 2026-11-23).
LIMIT, DOUBTED = 1 / 1.15, 0.9

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over torch (f32).",
    "A case is a product as in einsum. pith packs an operand inside its kernel: that is part of its time.",
    "`run-time sizes`: the kernel was compiled before any size was known.",
    "Results are preallocated for both.",
    f"Cases below {DOUBTED} of torch are timed again, with eight times the rounds, and count as they were found then.",
)


@dataclasses.dataclass(frozen=True)
class Case:
    """One product.

    Attributes:
        what: where it comes from.
        einsum: operands and result.
        sizes: extent of every letter.
        dynamic: compile for run-time sizes.
    """

    what: str
    einsum: str
    sizes: dict[str, int]
    dynamic: bool = False

    @property
    def name(self) -> str:
        sizes = " ".join(f"{loop}={size}" for loop, size in self.sizes.items())
        return f"{self.what}: {self.einsum}, {sizes}" + (", run-time sizes" if self.dynamic else "")

    @property
    def subscripts(self) -> list[str]:
        inputs, out = self.einsum.split("->")
        return [*inputs.split(","), out]

    def shape(self, subscript: str) -> tuple[int, ...]:
        return tuple(self.sizes[loop] for loop in subscript)

    def source(self) -> str:
        """A program that writes the product to memory of the caller's."""
        loops = ", ".join(self.sizes)
        maps = ", ".join(f"affine_map<({loops}) -> ({', '.join(s)})>" for s in self.subscripts)
        out = self.subscripts[-1]
        kinds = ", ".join('"parallel"' if loop in out else '"reduction"' for loop in self.sizes)
        a, b, c = ("x".join("?" if self.dynamic else str(n) for n in self.shape(s)) + "xf32" for s in self.subscripts)
        return f"""func.func @product(%a: tensor<{a}>, %b: tensor<{b}>, %out: memref<{c}> {{pith.name = "out"}}) {{
  %zero = arith.constant 0.0 : f32
  %dst = bufferization.to_tensor %out restrict writable : memref<{c}> to tensor<{c}>
  %init = linalg.fill ins(%zero : f32) outs(%dst : tensor<{c}>) -> tensor<{c}>
  %y = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}
      ins(%a, %b : tensor<{a}>, tensor<{b}>) outs(%init : tensor<{c}>) {{
  ^bb0(%x: f32, %w: f32, %o: f32):
    %p = arith.mulf %x, %w : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  }} -> tensor<{c}>
  bufferization.materialize_in_destination %y in restrict writable %out : (tensor<{c}>, memref<{c}>) -> ()
  return
}}"""


#: Matrices that are multiplied by one column: from L2, from the last-level cache, from memory.
COLUMN_SHAPES = ((512, 512), (2048, 512), (1024, 4096), (4096, 4096))


def _matrix(rows: int, contracted: int, columns: int) -> dict[str, int]:
    return {"i": rows, "k": contracted, "j": columns}


def _batch(batch: int, rows: int, contracted: int, columns: int) -> dict[str, int]:
    return {"b": batch, **_matrix(rows, contracted, columns)}


CASES = (
    Case("product", "ik,kj->ij", _matrix(2048, 512, 256)),
    Case("product", "ik,kj->ij", _matrix(2048, 512, 256), dynamic=True),
    Case("product", "ik,kj->ij", _matrix(3072, 768, 128)),
    Case("product", "ik,kj->ij", _matrix(1024, 4096, 64)),
    Case("product", "ik,kj->ij", _matrix(4096, 4096, 32)),
    Case("linear layer", "ik,jk->ij", _matrix(384, 384, 1536)),
    *(Case("one column", "ik,k->i", {"i": rows, "k": contracted}) for rows, contracted in COLUMN_SHAPES),
    Case("one column", "ik,jk->ij", _matrix(1, 1024, 4096)),
    Case("gradient of weights", "ki,kj->ij", _matrix(512, 2048, 256)),
    *(
        case
        for tokens in (50, 128)
        for case in (
            Case("scores", "bik,bjk->bij", _batch(96, tokens, 32, tokens)),
            Case("values", "bik,bkj->bij", _batch(96, tokens, tokens, 32)),
        )
    ),
    Case("scores", "bik,bjk->bij", _batch(96, 50, 32, 50), dynamic=True),
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("dense", "Dense products, f32", notes=list(NOTES))
    sweep = Sweep(options, doubted=lambda outcome, _: outcome.speedup(PITH) < DOUBTED)
    sweep.run(_contests(CASES[::4] if options.quick else CASES), report, progress)
    report.tables.insert(0, _summary(sweep))
    report.requirements += [_requirement(sweep, threads) for threads in options.threads]
    return report


def _contests(cases: tuple[Case, ...]) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for case in cases:
        rng = np.random.default_rng(0)
        a, b = (aligned(rng.standard_normal(case.shape(s), np.float32)) for s in case.subscripts[:2])
        reference = np.einsum(case.einsum, a.astype(np.float64), b.astype(np.float64), optimize=True)
        contestants = {PITH: _pith(case, a, b), TORCH: _torch(case, a, b)}
        flops = 2.0 * float(np.prod(list(case.sizes.values())))
        yield Contest(case.name, contestants, TORCH, reference, flops=flops), {"what": case.what, **case.sizes}


def _pith(case: Case, a: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    kernel, out = pith.compile(case.source()), poisoned(case.shape(case.subscripts[-1]))

    def call() -> np.ndarray:
        kernel(a, b, out)
        return out

    return call


def _torch(case: Case, a: np.ndarray, b: np.ndarray) -> Callable[[], torch.Tensor]:
    """The product through ``torch.mm`` or ``torch.bmm``, operands transposed by strides alone."""
    out = torch.from_numpy(poisoned(case.shape(case.subscripts[-1])))
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    if "j" not in case.sizes:
        return lambda: torch.mv(x, y, out=out)
    x = x if case.subscripts[0].endswith("k") else x.transpose(-1, -2)
    y = y if case.subscripts[1].endswith("j") else y.transpose(-1, -2)
    product = torch.bmm if "b" in case.sizes else torch.mm
    return lambda: product(x, y, out=out)


def _summary(sweep: Sweep) -> Table:
    """Geometric means over the cases, per kind and number of threads."""
    rows = []
    for threads in sweep.found:
        for what in dict.fromkeys(case.what for case in CASES):
            if sweep.select(threads, what=what):
                (mean,) = sweep.means(threads, ((PITH, TORCH),), what=what)
                rows.append((plural(threads), what, f"{mean:.2f}"))
    return Table("Speed-ups over torch, geometric means", ("threads", "what", f"{PITH} / {TORCH}"), tuple(rows))


def _requirement(sweep: Sweep, threads: int) -> Requirement:
    """Single products of many columns: within 15 % of torch, which is oneDNN or MKL."""
    found = [o for facts, o in sweep.found[threads] if "b" not in facts and facts.get("j", 1) >= MANY_COLUMNS]
    text = f"dense f32 over torch, {MANY_COLUMNS} columns and more, {plural(threads)}, worst case"
    return Requirement(text, min((o.speedup(PITH) for o in found), default=None), LIMIT, "x", at_least=True)
