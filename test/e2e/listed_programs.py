"""Products written as einsum equations, restricted by patterns: programs and their float64 reference."""

from __future__ import annotations

import dataclasses

import numpy as np
from pith._mlir import ir
from pith.compiler.build import parse
from pith.lowering.isa import HOST
from pith.passes.pipeline import run_pipeline
from pith.runtime import NativeFunction
from tile_programs import array, compile_program, pattern_type, tensor

#: A pattern: the letters of its axes and their granularity.
Where = tuple[tuple[str, tuple[int, ...]], ...]


@dataclasses.dataclass(frozen=True)
class ListedProgram:
    """``equation`` of two operands at what patterns list, added to an argument or to zeros.

    Attributes:
        sizes: per letter; ``dynamic`` leaves all of them to run time.
        fresh: the result starts from zeros.
        relu: a bias over the result's last dimension is added, then negative results become zero.
        element: of the sums and of the result.
        factor: element type of the operands where that is a narrower one.
    """

    equation: str
    sizes: tuple[tuple[str, int], ...]
    where: Where
    fresh: bool = False
    dynamic: bool = False
    relu: bool = False
    element: str = "f32"
    factor: str = ""

    @property
    def terms(self) -> tuple[str, str, str]:
        """Letters of the operands and of the result."""
        inputs, out = self.equation.split("->")
        return (*inputs.split(","), out)

    @property
    def loops(self) -> str:
        """All letters: those of the result, then the reductions."""
        out = self.terms[2]
        return out + "".join(sorted({*"".join(self.terms[:2])} - {*out}))

    def text(self) -> str:
        """The module: ``product(pattern..., a, b[, init][, bias])``."""
        size = dict(self.sizes)
        shape = {c: -1 if self.dynamic else n for c, n in size.items()}
        tiles = {c: 0 for c in self.loops} | {c: g for letters, gran in self.where for c, g in zip(letters, gran)}
        factor = self.factor or self.element
        types = list(zip((factor, factor, self.element), self.terms))
        whole = [tensor(e, *(shape[c] for c in t)) for e, t in types]
        part = [tensor(e, *(tiles[c] or shape[c] for c in t)) for e, t in types]
        kind = "f" if "f" in self.element else "i"
        widen = "f" if kind == "f" else "si"
        widened = [f"%w{v} = arith.ext{widen} %{v} : {factor} to {self.element}" for v in "xy"] if self.factor else []
        x, y = ("%wx", "%wy") if self.factor else ("%x", "%y")
        patterns = [pattern_type([shape[c] for c in letters], gran) for letters, gran in self.where]
        names = [f"%p{i}" for i in range(len(patterns))]
        maps = [f"affine_map<({', '.join(self.loops)}) -> ({', '.join(t)})>" for t in self.terms]
        kinds = ", ".join('"parallel"' if c in self.terms[2] else '"reduction"' for c in self.loops)
        axes = [self.loops.index(c) for letters, _ in self.where for c in letters]
        micro = [g for _, gran in self.where for g in gran]
        params = [f"{n}: {t}" for n, t in zip([*names, "%a", "%b"], [*patterns, *whole[:2]])]
        params += [] if self.fresh else [f"%init: {whole[2]}"]
        params += [f"%bias: {tensor(self.element, shape[self.terms[2][-1]])}"] if self.relu else []
        segments = [int(i < len(patterns)) for i in range(3)] + [1, 1] + [0] * 6 + [1]
        return f"""
        func.func @product({", ".join(params)}) -> {whole[2]} {{
          {self._zeros(shape, whole) if self.fresh else ""}
          %r = "pith.pit_tile"({", ".join(names)}, %a, %b, %init) ({{
          ^bb0(%ta: {part[0]}, %tb: {part[1]}, %tc: {part[2]}):
            %t = linalg.generic {{indexing_maps = [{", ".join(maps)}], iterator_types = [{kinds}]}}
                ins(%ta, %tb : {part[0]}, {part[1]}) outs(%tc : {part[2]}) {{
            ^bb0(%x: {factor}, %y: {factor}, %z: {self.element}):
              {" ".join(widened)}
              %u = arith.mul{kind} {x}, {y} : {self.element}
              %v = arith.add{kind} %z, %u : {self.element}
              linalg.yield %v : {self.element}
            }} -> {part[2]}
            "pith.yield"(%t) : ({part[2]}) -> ()
          }}) {{indexing_maps = [{", ".join(maps)}], iterator_types = [{kinds}], axes = {array(axes)},
               tile = {array(tiles[c] for c in self.loops)}, micro_tile = {array(micro)}, accumulate = true,
               operandSegmentSizes = array<i32: {", ".join(map(str, segments))}>}}
              : ({", ".join([*patterns, *whole])}) -> {whole[2]}
          {self._relu(whole[2]) if self.relu else ""}
          return {"%act" if self.relu else "%r"} : {whole[2]}
        }}"""

    def _zeros(self, shape: dict[str, int], whole: list[str]) -> str:
        lines, sizes = [], []
        for c in self.terms[2] if self.dynamic else "":
            side, dim = (0, self.terms[0].index(c)) if c in self.terms[0] else (1, self.terms[1].index(c))
            lines += [f"%c{c} = arith.constant {dim} : index"]
            lines += [f"%d{c} = tensor.dim {('%a', '%b')[side]}, %c{c} : {whole[side]}"]
            sizes.append(f"%d{c}")
        return f"""{" ".join(lines)}
          %zero = arith.constant 0.0 : {self.element}
          %empty = tensor.empty({", ".join(sizes)}) : {whole[2]}
          %init = linalg.fill ins(%zero : {self.element}) outs(%empty : {whole[2]}) -> {whole[2]}"""

    def _relu(self, type_: str) -> str:
        last, dims = self.terms[2][-1], ", ".join(self.terms[2])
        identity, bias = f"affine_map<({dims}) -> ({dims})>", f"affine_map<({dims}) -> ({last})>"
        shape = tensor(self.element, -1 if self.dynamic else dict(self.sizes)[last])
        kinds = ", ".join(['"parallel"'] * len(self.terms[2]))
        zero = "" if self.fresh else f"%zero = arith.constant 0.0 : {self.element}"
        return f"""{zero}
          %act = linalg.generic {{indexing_maps = [{bias}, {identity}], iterator_types = [{kinds}]}}
              ins(%bias : {shape}) outs(%r : {type_}) {{
          ^bb0(%s: {self.element}, %o: {self.element}):
            %sum = arith.addf %o, %s : {self.element}
            %max = arith.maximumf %sum, %zero : {self.element}
            linalg.yield %max : {self.element}
          }} -> {type_}"""

    def compile(self, isa: str = HOST) -> NativeFunction:
        """The native function, for an instruction set."""
        return compile_program(self.text(), "product", isa=isa)

    def takes_panels(self) -> bool:
        """Whether the panels take the op."""
        module = parse(self.text())
        with module.context, ir.Location.unknown():
            run_pipeline(module, "builtin.module(pith-to-linalg,convert-pith-tiles-to-panels)")
            return "pith.pit_tile" not in str(module)

    def operands(self, rng, dtype=np.float32) -> list[np.ndarray]:
        """Random operands: both inputs, the init, the bias."""
        size = dict(self.sizes)
        shapes = [[size[c] for c in t] for t in (*self.terms, self.terms[2][-1])]
        return [rng.standard_normal(s).astype(dtype) for s in shapes]

    def lists(self, rng, density: float) -> list[np.ndarray]:
        """Random entries of every pattern, in random order."""
        out = []
        for letters, gran in self.where:
            grid = [-(-dict(self.sizes)[c] // g) for c, g in zip(letters, gran)]
            entries = rng.permutation(np.argwhere(rng.random(grid) < density)).astype(np.int32)
            out.append(np.ascontiguousarray(entries[:, 0]) if len(letters) == 1 else entries)
        return out

    def run(self, function, lists, a, b, init, bias) -> np.ndarray:
        """The function's result."""
        rest = ([] if self.fresh else [init]) + ([bias] if self.relu else [])
        return function(*lists, a, b, *rest)

    def reference(self, lists, a, b, init, bias) -> np.ndarray:
        """The same in float64, with masks."""
        operands, letters = [a.astype(np.float64), b.astype(np.float64)], list(self.terms[:2])
        for (names, gran), entries in zip(self.where, lists):
            mask = np.zeros([dict(self.sizes)[c] for c in names])
            for entry in entries.reshape(len(entries), len(names)):
                mask[tuple(slice(c * g, (c + 1) * g) for c, g in zip(entry, gran))] = 1
            operands.append(mask)
            letters.append(names)
        out = np.einsum(f"{','.join(letters)}->{self.terms[2]}", *operands, optimize=True)
        out = out + (0 if self.fresh else init)
        return np.maximum(out + bias, 0) if self.relu else out
