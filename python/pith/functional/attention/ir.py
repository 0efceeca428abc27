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
        return _module("attention", _ORDER, self._arrays(), ["out", "lse"], self.blocks)

    def device_source(self) -> str:
        """The same for a GPU: contiguous tensors, results returned.

        Arguments are the operands of the op in its order, absent ones, out and lse left out.
        """
        return _device_module("attention", _ORDER, self._arrays(), ["out", "lse"], self.blocks)

    def _arrays(self) -> dict[str, _Array]:
        heads, values = (_Array.of_rank(4, self.element, n) for n in (self.depth, self.width))
        arrays = {"query": heads, "key": heads, "value": values, "out": values, "intervals": _INTERVALS}
        if self.lse:
            arrays["lse"] = _Array.of_rank(3, COMPUTED_IN[self.element])
        return arrays | (_TOKENS if self.tokens else {})

    def grad_source(self, of_keys: bool) -> str:
        """The same for the gradient of the queries, or of keys and values (blocks: granularity of one's own first)."""
        return _module("attention_grad", _GRAD_ORDER, self._grad_arrays(of_keys), ["out", "pair_out"], self.blocks)

    def device_grad_source(self, of_keys: bool) -> str:
        """The same for a GPU: contiguous tensors, results returned."""
        arrays = self._grad_arrays(of_keys)
        return _device_module("attention_grad", _GRAD_ORDER, arrays, ["out", "pair_out"], self.blocks)

    def _grad_arrays(self, of_keys: bool) -> dict[str, _Array]:
        heads, values = (_Array.of_rank(4, self.element, n) for n in (self.depth, self.width))
        numbers = _Array.of_rank(3, COMPUTED_IN[self.element])
        arrays = {"own": heads, "own_pair": values, "other": heads, "other_pair": values, "lse": numbers}
        arrays |= {"delta": numbers, "out": heads, "intervals": _INTERVALS}
        arrays |= {"pair_out": values} if of_keys else {}
        return arrays | (_TOKENS if self.tokens else {})


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


#: Operands of ``pith.attention``.
_ORDER = ("query", "key", "value", "scale", "out", "intervals", "lse", "pattern", "global_tokens", "reach", "bias")
#: Operands of ``pith.attention_grad``.
_GRAD_ORDER = (
    *("own", "own_pair", "other", "other_pair", "lse", "delta", "scale", "out", "intervals", "pair_out"),
    *("pattern", "global_tokens", "reach"),
)
_INTERVALS = _Array("?x?x2xi32")
_TOKENS = {"global_tokens": _Array("?x?xi32"), "reach": _INTERVALS}


def _module(
    op: str, order: tuple[str, ...], arrays: dict[str, _Array], results: list[str], blocks: tuple[int, int] | None
) -> str:
    types = {name: a.tensor for name, a in arrays.items()} | {"scale": "f64"}
    params = {name: a.memref for name, a in arrays.items()} | {"scale": "f64"}
    if blocks:
        types["pattern"] = params["pattern"] = _pattern(blocks)
    given = [name for name in order if name in types]
    written = [name for name in results if name in arrays]
    access = {name: "" if name in written or name not in arrays else ", pith.read_only" for name in given}
    signature = ", ".join(f'%{name}: {params[name]} {{pith.name = "{name}"{access[name]}}}' for name in given)
    views = "".join(
        f"  %{name}_t = bufferization.to_tensor %{name} restrict{' writable' if name in written else ''}"
        f" : {a.memref} to {a.tensor}\n"
        for name, a in arrays.items()
    )
    operands = [f"%{name}_t" if name in arrays else f"%{name}" for name in given]
    stored = "".join(
        f"  bufferization.materialize_in_destination %{name}_r in restrict writable %{name}"
        f" : ({types[name]}, {params[name]}) -> ()\n"
        for name in written
    )
    return f"""func.func @{op}({signature}) {{
{views}  {", ".join(f"%{name}_r" for name in written)} = {_op(op, order, types, given, len(written), operands)}
      -> ({", ".join(types[name] for name in written)})
{stored}  return
}}
"""


def _device_module(
    op: str, order: tuple[str, ...], arrays: dict[str, _Array], results: list[str], blocks: tuple[int, int] | None
) -> str:
    types = {name: a.tensor for name, a in arrays.items()} | {"scale": "f64"}
    types |= {"pattern": _pattern(blocks)} if blocks else {}
    given = [name for name in order if name in types]
    made = [name for name in results if name in types]
    signature = ", ".join(f"%{name}: {types[name]}" for name in given if name not in made)
    first, returned = given[0], ", ".join(types[name] for name in made)
    sizes = "".join(
        f"  %c{d} = arith.constant {d} : index\n  %n{d} = tensor.dim %{first}, %c{d} : {types[first]}\n"
        for d in range(3)
    )
    empty = "".join(f"  %{name} = tensor.empty(%n0, %n1, %n2) : {types[name]}\n" for name in made)
    values = ", ".join(f"%{name}_r" for name in made)
    return f"""func.func @{op}({signature}) -> ({returned}) {{
{sizes}{empty}  {values} = {_op(op, order, types, given, len(made))} -> ({returned})
  return {values} : {returned}
}}
"""


def _pattern(blocks: tuple[int, int]) -> str:
    return f"!pith.pattern<[-1, -1], [{blocks[0]}, {blocks[1]}]>"


def _op(
    op: str,
    order: tuple[str, ...],
    types: dict[str, str],
    given: list[str],
    results: int,
    values: list[str] | None = None,
) -> str:
    """The op on ``given`` operands, up to the types of its results."""
    operands = ", ".join(values or [f"%{name}" for name in given])
    return f""""pith.{op}"({operands}) {{
      operandSegmentSizes = array<i32: {", ".join(str(int(name in types)) for name in order)}>,
      resultSegmentSizes = array<i32: 1, {results - 1}>}}
    : ({", ".join(types[name] for name in given)})"""
