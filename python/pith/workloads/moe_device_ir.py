"""Pith-level IR of a mixture of experts as one GPU program: routing, both layers and the sum over a token's experts."""

from __future__ import annotations

import dataclasses

from ..functional.einsum.text import segments
from ..functional.ir_text import multiply_add, widened, yielded
from ..functional.linear.ir import ACTIVATIONS

#: Rows of a tile in the IR; lowerings choose their own.
_ROWS = 64

_KINDS = '["parallel", "parallel", "reduction", "reduction"]'
_HEADER = """#x = affine_map<(s, n, e, k) -> (s, k)>
#w = affine_map<(s, n, e, k) -> (e, k, n)>
#b = affine_map<(s, n, e, k) -> (e, n)>
#g = affine_map<(s, n, e, k) -> (s)>
#y = affine_map<(s, n, e, k) -> (s, n)>
#each = affine_map<(s, n) -> (s, n)>
#one = affine_map<(s, n) -> (0, n)>
#row = affine_map<(s, n) -> (s)>
#token = affine_map<(t, j, n) -> (t, n)>
#slot = affine_map<(t, j, n) -> (t, j, n)>
"""


@dataclasses.dataclass(frozen=True)
class Experts:
    """A mixture of experts whose number of tokens is known at run time.

    Attributes:
        element: of everything but the routing; sums are in f32.
        each: experts of a token.
        layers: per layer (experts, in, out).
        biases: per layer, whether it has one.
        activation: behind every layer but the last; of a single layer behind that.
        gates: the last layer's rows are scaled.
    """

    element: str
    each: int
    layers: tuple[tuple[int, int, int], ...]
    biases: tuple[bool, ...]
    activation: str | None
    gates: bool

    def source(self) -> str:
        """``moe(x, experts, [gates,] w, [bias,] ...) -> y``."""
        el, j, (count, depth, _) = self.element, self.each, self.layers[0]
        width = self.layers[-1][2]
        operands = [("x", f"tensor<?x{depth}x{el}>"), ("experts", f"tensor<?x{j}xi32>")]
        operands += [("gates", f"tensor<?x{j}x{el}>")] * self.gates
        for i, ((n, rows, columns), bias) in enumerate(zip(self.layers, self.biases)):
            operands += [(f"w{i}", f"tensor<{n}x{rows}x{columns}x{el}>")]
            operands += [(f"b{i}", f"tensor<{n}x{columns}x{el}>")] * bias
        parameters = ", ".join(f'%{name}: {type_} {{pith.name = "{name}"}}' for name, type_ in operands)
        text = f"""{_HEADER}func.func @moe({parameters}) -> tensor<?x{width}x{el}> {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %tokens = tensor.dim %x, %c0 : tensor<?x{depth}x{el}>
  %chosen = tensor.collapse_shape %experts [[0, 1]] : tensor<?x{j}xi32> into tensor<?xi32>
  %slots = tensor.dim %chosen, %c0 : tensor<?xi32>
  %p = "pith.from_routing"(%chosen) : (tensor<?xi32>) -> !pith.pattern<[-1, {count}], [1, 1]>
{self._scales()}{self._rows()}"""
        rows = "x" if j == 1 else "rows"
        for i in range(len(self.layers)):
            text += self._layer(i, rows if i == 0 else f"y{i - 1}")
        return text + self._combined()

    def _scales(self) -> str:
        if not self.gates:
            return ""
        el, j = self.element, self.each
        return f"  %scales = tensor.collapse_shape %gates [[0, 1]] : tensor<?x{j}x{el}> into tensor<?x{el}>\n"

    def _rows(self) -> str:
        """A row per slot, where a token has several."""
        el, j, depth = self.element, self.each, self.layers[0][1]
        if j == 1:
            return ""
        wide = f"tensor<?x{j}x{depth}x{el}>"
        return f"""  %wide = tensor.empty(%tokens) : {wide}
  %spread = linalg.generic {{indexing_maps = [#token, #slot], iterator_types = ["parallel", "parallel", "parallel"]}}
      ins(%x : tensor<?x{depth}x{el}>) outs(%wide : {wide}) {{
  ^bb0(%v: {el}, %o: {el}):
    linalg.yield %v : {el}
  }} -> {wide}
  %rows = tensor.collapse_shape %spread [[0, 1], [2]] : {wide} into tensor<?x{depth}x{el}>
"""

    def _layer(self, i: int, rows: str) -> str:
        """``y{i}[s] = finish(rows[s] @ w{i}[e])``; what is summed over a token's experts stays in f32."""
        el, (count, depth, width) = self.element, self.layers[i]
        last = i == len(self.layers) - 1
        out = "f32" if last and self.each > 1 else el
        inputs = [(rows, f"tensor<?x{depth}x{el}>", f"tensor<{_ROWS}x{depth}x{el}>", "#x")]
        inputs += [(f"w{i}", f"tensor<{count}x{depth}x{width}x{el}>", f"tensor<1x{depth}x{width}x{el}>", "#w")]
        inputs += [(f"b{i}", f"tensor<{count}x{width}x{el}>", f"tensor<1x{width}x{el}>", "#b")] * self.biases[i]
        inputs += [("scales", f"tensor<?x{el}>", f"tensor<{_ROWS}x{el}>", "#g")] * (self.gates and last)
        init, tile = f"tensor<?x{width}x{out}>", f"tensor<{_ROWS}x{width}x{out}>"
        arguments = ", ".join(f"%t{n}: {part}" for n, (_, _, part, _) in enumerate(inputs))
        maps = ", ".join(m for *_, m in inputs)
        types = ", ".join([f"!pith.pattern<[-1, {count}], [1, 1]>", *(t for _, t, _, _ in inputs), init])
        return f"""  %zero{i} = arith.constant 0.0 : {out}
  %e{i} = tensor.empty(%slots) : {init}
  %i{i} = linalg.fill ins(%zero{i} : {out}) outs(%e{i} : {init}) -> {init}
  %y{i} = "pith.pit_tile"(%p, {", ".join(f"%{name}" for name, *_ in inputs)}, %i{i}) ({{
  ^bb0({arguments}, %ty: {tile}):
{self._body(i, [part for _, _, part, _ in inputs], tile, out)}  }}) {{indexing_maps = [{maps}, #y],
      iterator_types = {_KINDS}, axes = array<i64: 0, 2>,
      tile = array<i64: {_ROWS}, 0, 1, 0>, micro_tile = array<i64: 1, 1>, accumulate = true, pith.partition,
      {segments(1, len(inputs))}}} : ({types}) -> {init}
"""

    def _body(self, i: int, parts: list[str], tile: str, out: str) -> str:
        """A product in f32 and what follows it."""
        el, width = self.element, self.layers[i][2]
        sums = f"tensor<{_ROWS}x{width}xf32>"
        beside, lines, value = [("#each", "%product", sums, "%v: f32")], "", "v"
        if self.biases[i]:
            wide, b = widened("b", el, "f32")
            beside, value = [*beside, ("#one", "%t2", parts[2], f"%b: {el}")], "biased"
            lines += f"{wide}    %biased = arith.addf %v, %{b} : f32\n"
        if self.activation is not None and (i < len(self.layers) - 1 or i == 0):
            lines += ACTIVATIONS[self.activation].format(z=value, t="f32")
            value = "y"
        if self.gates and i == len(self.layers) - 1:
            wide, g = widened("g", el, "f32")
            beside = [*beside, ("#row", f"%t{len(parts) - 1}", parts[-1], f"%g: {el}")]
            lines += f"{wide}    %gated = arith.mulf %{value}, %{g} : f32\n"
            value = "gated"
        maps, names, types, scalars = (", ".join(column) for column in zip(*beside))
        return f"""    %none = tensor.empty() : {sums}
    %start = linalg.fill ins(%zero : f32) outs(%none : {sums}) -> {sums}
    %product = linalg.generic {{indexing_maps = [#x, #w, #y], iterator_types = {_KINDS}}}
        ins(%t0, %t1 : {parts[0]}, {parts[1]}) outs(%start : {sums}) {{
{multiply_add(el, el, "f32")}    }} -> {sums}
    %finished = linalg.generic {{indexing_maps = [{maps}, #each], iterator_types = ["parallel", "parallel"]}}
        ins({names} : {types}) outs(%ty : {tile}) {{
    ^bb0({scalars}, %o: {out}):
{lines}{yielded(value, "f32", out)}    }} -> {tile}
    "pith.yield"(%finished) : ({tile}) -> ()
"""

    def _combined(self) -> str:
        """The sum over the slots of a token."""
        el, j, width, last = self.element, self.each, self.layers[-1][2], len(self.layers) - 1
        if j == 1:
            return f"  return %y{last} : tensor<?x{width}x{el}>\n}}\n"
        parts, sums, result = f"tensor<?x{j}x{width}xf32>", f"tensor<?x{width}xf32>", f"tensor<?x{width}x{el}>"
        text = f"""  %parts = tensor.expand_shape %y{last} [[0, 1], [2]] output_shape [%tokens, {j}, {width}]
    : {sums} into {parts}
  %sums = tensor.empty(%tokens) : {sums}
  %from = linalg.fill ins(%zero : f32) outs(%sums : {sums}) -> {sums}
  %sum = linalg.generic {{indexing_maps = [#slot, #token], iterator_types = ["parallel", "reduction", "parallel"]}}
      ins(%parts : {parts}) outs(%from : {sums}) {{
  ^bb0(%v: f32, %s: f32):
    %a = arith.addf %s, %v : f32
    linalg.yield %a : f32
  }} -> {sums}
"""
        if el == "f32":
            return text + f"  return %sum : {result}\n}}\n"
        return (
            text
            + f"""  %room = tensor.empty(%tokens) : {result}
  %y = linalg.generic {{indexing_maps = [#each, #each], iterator_types = ["parallel", "parallel"]}}
      ins(%sum : {sums}) outs(%room : {result}) {{
  ^bb0(%v: f32, %o: {el}):
{yielded("v", "f32", el)}  }} -> {result}
  return %y : {result}
}}
"""
        )
