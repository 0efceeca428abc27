"""Pith-level IR of attention kernels: sizes, strides and patterns are arguments, head sizes are not."""

from __future__ import annotations

import dataclasses

#: Element type of the operands -> element type of scores, sums and ``lse``.
COMPUTED_IN = {"f16": "f32", "bf16": "f32", "f32": "f32", "f64": "f64"}


@dataclasses.dataclass(frozen=True)
class Variant:
    """What one kernel is compiled for.

    Attributes:
        element: type of query, key, value and result.
        depth, width: features of a query and of a value.
        lse: the logarithms of the sums are written too.
        tokens: there are global tokens.
        blocks: granularity of the pattern, None without one.
    """

    element: str
    depth: int
    width: int
    lse: bool = False
    tokens: bool = False
    blocks: tuple[int, int] | None = None

    def source(self) -> str:
        """The module; its function takes the operands in the order of the op, absent ones left out."""
        computed = COMPUTED_IN[self.element]
        heads, values = (_Array.of_rank(4, self.element, n) for n in (self.depth, self.width))
        arrays = {"query": heads, "key": heads, "value": values}
        arrays |= {"out": values, "intervals": _Array("?x?x2xi32")}
        if self.lse:
            arrays["lse"] = _Array.of_rank(3, computed)
        if self.tokens:
            arrays |= {"tokens": _Array("?x?xi32"), "reach": _Array("?x?x2xi32")}
        written = ["out", "lse"] if self.lse else ["out"]
        return _module(arrays, written, self.blocks)


@dataclasses.dataclass(frozen=True)
class _Array:
    """A parameter: sizes and element type, and the strides a caller may choose."""

    shape: str
    layout: str = ""

    @classmethod
    def of_rank(cls, rank: int, element: str, last: int | None = None) -> _Array:
        """Any strides but that of a static last dimension."""
        sizes = ["?"] * (rank - (last is not None)) + ([str(last)] if last is not None else [])
        strides = ["?"] * (rank - (last is not None)) + (["1"] if last is not None else [])
        return cls("x".join([*sizes, element]), f", strided<[{', '.join(strides)}], offset: ?>")

    @property
    def memref(self) -> str:
        return f"memref<{self.shape}{self.layout}>"

    @property
    def tensor(self) -> str:
        return f"tensor<{self.shape}>"


def _module(arrays: dict[str, _Array], written: list[str], blocks: tuple[int, int] | None) -> str:
    params = [f'%{name}: {a.memref} {{pith.name = "{name}"}}' for name, a in arrays.items()]
    params.insert(3, '%scale: f64 {pith.name = "scale"}')
    pattern = f"!pith.pattern<[-1, -1], [{blocks[0]}, {blocks[1]}]>" if blocks else None
    if pattern:
        params.append(f'%pattern: {pattern} {{pith.name = "pattern"}}')
    views = "".join(
        f"  %{name}_t = bufferization.to_tensor %{name} restrict{' writable' if name in written else ''}"
        f" : {a.memref} to {a.tensor}\n"
        for name, a in arrays.items()
    )
    given = {name: (f"%{name}_t", a.tensor) for name, a in arrays.items()}
    given |= {"scale": ("%scale", "f64")}
    if pattern:
        given["pattern"] = ("%pattern", pattern)
    order = ("query", "key", "value", "scale", "out", "intervals", "lse", "pattern", "tokens", "reach")
    operands, types = zip(*(given[name] for name in order if name in given))
    segments = ", ".join(str(int(name in given)) for name in order)
    results = ", ".join(f"%{name}_r" for name in written)
    result_types = ", ".join(arrays[name].tensor for name in written)
    stored = "".join(
        f"  bufferization.materialize_in_destination %{name}_r in restrict writable %{name}"
        f" : ({arrays[name].tensor}, {arrays[name].memref}) -> ()\n"
        for name in written
    )
    return f"""func.func @attention({", ".join(params)}) {{
{views}  {results} = "pith.attention"({", ".join(operands)}) {{operandSegmentSizes = array<i32: {segments}>,
      resultSegmentSizes = array<i32: 1, {len(written) - 1}>}} : ({", ".join(types)}) -> ({result_types})
{stored}  return
}}
"""
