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
        heads, values = (_Array.of_rank(4, self.element, n) for n in (self.depth, self.width))
        arrays = {"query": heads, "key": heads, "value": values, "out": values, "intervals": _INTERVALS}
        if self.lse:
            arrays["lse"] = _Array.of_rank(3, COMPUTED_IN[self.element])
        arrays |= _TOKENS if self.tokens else {}
        order = ("query", "key", "value", "scale", "out", "intervals", "lse", "pattern", "global_tokens", "reach")
        return _module("attention", order, arrays, ["out", "lse"], self.blocks)

    def grad_source(self, of_keys: bool) -> str:
        """The same for the gradient of the queries, or of keys and values (blocks: granularity of one's own first)."""
        heads, values = (_Array.of_rank(4, self.element, n) for n in (self.depth, self.width))
        numbers = _Array.of_rank(3, COMPUTED_IN[self.element])
        arrays = {"own": heads, "own_pair": values, "other": heads, "other_pair": values, "lse": numbers}
        arrays |= {"delta": numbers, "out": heads, "intervals": _INTERVALS}
        arrays |= {"pair_out": values} if of_keys else {}
        arrays |= _TOKENS if self.tokens else {}
        order = ("own", "own_pair", "other", "other_pair", "lse", "delta", "scale", "out", "intervals", "pair_out")
        order += ("pattern", "global_tokens", "reach")
        return _module("attention_grad", order, arrays, ["out", "pair_out"], self.blocks)


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


_INTERVALS = _Array("?x?x2xi32")
_TOKENS = {"global_tokens": _Array("?x?xi32"), "reach": _INTERVALS}


def _module(
    op: str, order: tuple[str, ...], arrays: dict[str, _Array], results: list[str], blocks: tuple[int, int] | None
) -> str:
    types = {name: a.tensor for name, a in arrays.items()} | {"scale": "f64"}
    params = {name: a.memref for name, a in arrays.items()} | {"scale": "f64"}
    if blocks:
        types["pattern"] = params["pattern"] = f"!pith.pattern<[-1, -1], [{blocks[0]}, {blocks[1]}]>"
    given = [name for name in order if name in types]
    written = [name for name in results if name in arrays]
    access = {name: "" if name in written or name not in arrays else ", pith.read_only" for name in given}
    signature = ", ".join(f'%{name}: {params[name]} {{pith.name = "{name}"{access[name]}}}' for name in given)
    views = "".join(
        f"  %{name}_t = bufferization.to_tensor %{name} restrict{' writable' if name in written else ''}"
        f" : {a.memref} to {a.tensor}\n"
        for name, a in arrays.items()
    )
    operands = ", ".join(f"%{name}_t" if name in arrays else f"%{name}" for name in given)
    stored = "".join(
        f"  bufferization.materialize_in_destination %{name}_r in restrict writable %{name}"
        f" : ({types[name]}, {params[name]}) -> ()\n"
        for name in written
    )
    return f"""func.func @{op}({signature}) {{
{views}  {", ".join(f"%{name}_r" for name in written)} = "pith.{op}"({operands}) {{
      operandSegmentSizes = array<i32: {", ".join(str(int(name in types)) for name in order)}>,
      resultSegmentSizes = array<i32: 1, {len(written) - 1}>}}
    : ({", ".join(types[name] for name in given)}) -> ({", ".join(types[name] for name in written)})
{stored}  return
}}
"""
