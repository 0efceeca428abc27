"""Programs on patterns, compiled to native functions through the product's pipeline."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from pith._mlir import ir
from pith.compiler.build import element_name, parse
from pith.dialect import shape_of
from pith.lowering.isa import HOST
from pith.passes.pipeline import run_pipeline
from pith.runtime import Library, MemRefSpec, NativeFunction, Signature, compile_object

MATMUL_MAPS = "[affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]"
MATMUL_ITERATORS = '["parallel", "parallel", "reduction"]'


def compile_program(text: str, name: str, checked: bool = False, isa: str = HOST) -> NativeFunction:
    """The function ``name`` of a pith-level module, for an instruction set.

    ``checked``: patterns are checked at run time, before the pipeline that does not check them.
    """
    checks = "convert-pith-patterns-to-linalg{check=true}," if checked else ""
    module = parse(text, isa)
    with module.context, ir.Location.unknown():
        entry = next(op for op in module.body.operations if op.sym_name.value == name)
        entry.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
        run_pipeline(module, f"builtin.module({checks}pith-to-linalg,linalg-to-vector)")
        entry = next(op for op in module.body.operations if op.sym_name.value == name)
        specs = [[_spec(t) for t in types] for types in (entry.type.inputs, entry.type.results)]
        run_pipeline(module, "builtin.module(vector-to-llvm)")
        library = Library.from_object(compile_object(module, [name]))
    return NativeFunction(library, Signature(name, *map(tuple, specs)))


def _spec(type_: ir.MemRefType) -> MemRefSpec:
    layout = "strided" if "strided" in str(type_) else "identity"
    return MemRefSpec(element_name(type_.element_type), shape_of(type_), layout=layout)


@dataclasses.dataclass(frozen=True)
class MatmulProgram:
    """``C[m, n] += A[m, k] * B[k, n]`` over the micro-tiles a pattern names.

    Attributes:
        sizes: m, n, k; -1 leaves a size to run time.
        axes: iteration dimensions of the pattern.
        granularity, micro_tile: per pattern axis.
        tile: per iteration dimension.
        ranks: axes of each pattern; () for one pattern.
    """

    sizes: tuple[int, int, int]
    axes: tuple[int, ...]
    granularity: tuple[int, ...]
    micro_tile: tuple[int, ...]
    tile: tuple[int, int, int]
    accumulate: bool
    element: str = "f32"
    ranks: tuple[int, ...] = ()

    def split(self, values) -> list:
        """``values``, one per axis, as one list per pattern."""
        values = iter(values)
        return [list(itertools.islice(values, rank)) for rank in self.ranks or (len(self.axes),)]

    def text(self) -> str:
        """The module: ``matmul(pattern..., a, b, c)``."""
        m, n, k = self.sizes
        tm, tn, tk = (t or size for t, size in zip(self.tile, self.sizes))
        a, b, c = (tensor(self.element, *s) for s in ((m, k), (k, n), (m, n)))
        ta, tb, tc = (tensor(self.element, *s) for s in ((tm, tk), (tk, tn), (tm, tn)))
        sizes = self.split(self.sizes[d] for d in self.axes)
        patterns = [pattern_type(n, g) for n, g in zip(sizes, self.split(self.granularity))]
        names = [f"%p{i}" for i in range(len(patterns))]
        arguments = ", ".join(f"{name}: {type_}" for name, type_ in zip(names, patterns))
        return f"""
        func.func @matmul({arguments}, %a: {a}, %b: {b}, %c: {c}) -> {c} {{
          %r = "pith.pit_tile"({", ".join(names)}, %a, %b, %c) ({{
          ^bb0(%ta: {ta}, %tb: {tb}, %tc: {tc}):
            %t = linalg.matmul ins(%ta, %tb : {ta}, {tb}) outs(%tc : {tc}) -> {tc}
            "pith.yield"(%t) : ({tc}) -> ()
          }}) {{indexing_maps = {MATMUL_MAPS}, iterator_types = {MATMUL_ITERATORS}, axes = {array(self.axes)},
               tile = {array(self.tile)}, micro_tile = {array(self.micro_tile)},
               accumulate = {str(self.accumulate).lower()}, {segments(2, len(patterns))}}}
              : ({", ".join(patterns)}, {a}, {b}, {c}) -> {c}
          return %r : {c}
        }}"""

    def compile(self, checked: bool = False) -> NativeFunction:
        """The native function."""
        return compile_program(self.text(), "matmul", checked)

    def reference(self, entries, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        """The same in float64: every named micro-tile, one by one. ``entries``: one array, or one per pattern."""
        a, b, out = a.astype(np.float64), b.astype(np.float64), c.astype(np.float64)
        lists = entries if isinstance(entries, list) else [entries]
        rows = [list(e.reshape(len(e), rank)) for e, rank in zip(lists, self.ranks or (len(self.axes),))]
        for entry in (np.concatenate(parts) for parts in itertools.product(*rows)):
            at = [slice(None)] * 3
            for axis, position, g in zip(self.axes, entry, self.granularity):
                at[axis] = slice(position * g, (position + 1) * g)
            m, n, k = at
            out[m, n] += a[m, k] @ b[k, n]
        return out


def tensor(element: str, *sizes: int) -> str:
    """A tensor type; -1 is dynamic."""
    return "tensor<" + "".join(f"{'?' if s < 0 else s}x" for s in sizes) + element + ">"


def pattern_type(sizes, granularity) -> str:
    """A pattern type."""
    return f"!pith.pattern<{[*sizes]}, {[*granularity]}>"


def array(values) -> str:
    """An ``array<i64>`` attribute."""
    return f"array<i64: {', '.join(map(str, values))}>"


def segments(n_inputs: int, n_patterns: int = 1) -> str:
    """The segment sizes of a ``pit_tile``."""
    patterns = ", ".join(str(int(i < n_patterns)) for i in range(3))
    return f"operandSegmentSizes = array<i32: {patterns}, {', '.join(str(int(i < n_inputs)) for i in range(8))}, 1>"


def error(out: np.ndarray, reference: np.ndarray) -> float:
    """``||out - ref|| / ||ref||`` (the norm itself where the reference is zero)."""
    return float(np.linalg.norm(out - reference) / (np.linalg.norm(reference) or 1.0))
