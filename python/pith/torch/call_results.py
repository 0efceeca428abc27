"""What the results of traceable functions look like, told from sizes and types alone.

A function here has the name and the parameters of the one it speaks for. Stored operands are :class:`Stored`, patterns
pairs of sizes and granularity, everything else the argument itself. What cannot be told without values is checked
by the function when it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..errors import ArgumentError, DTypeError, ShapeError
from ..functional.conv2d.geometry import Geometry
from ..functional.dynamic.dynamic import Dynamic, result_shape_of_dynamic
from ..functional.einsum.equation import Equation, extents, parse
from ..functional.linear.ir import require_activation
from ..functional.linear.linear import require_variant, result_shape_of
from ..functional.matmul.matmul import result_shape
from .call_text import Stored

#: Integers -> what their products are summed in.
_SUMS = {torch.int8: torch.int32, torch.int16: torch.int32}


def matmul(a: Any, b: Any, *, out: Any = None, variant: str = "auto") -> torch.Tensor:
    """Of :func:`pith.matmul`."""
    if isinstance(a, Dynamic) or isinstance(b, Dynamic):
        left = isinstance(a, Dynamic)
        marked, other = (a.value, b) if left else (b.value, a)
        return _summed(marked, result_shape_of_dynamic(tuple(marked.shape), tuple(other.shape), left))
    if not isinstance(a, Stored) and not isinstance(b, Stored):
        return torch.matmul(a, b)
    right = not isinstance(a, Stored)
    stored: Stored = b if right else a
    x: Any = a if right else b
    if stored.dtype != x.dtype and not stored.quantized:
        raise DTypeError(f"cannot multiply {stored.dtype} by {x.dtype}", where="pith.matmul", hint="convert one")
    if len(stored.shape) > 2:
        lead = torch.broadcast_shapes(stored.shape[:-2], x.shape[:-2])
        return _summed(x, (*lead, a.shape[-2], b.shape[-1]))
    _, shape = result_shape(stored.shape, tuple(x.shape), right)
    return _new(x, shape, torch.float32) if stored.quantized else _summed(x, shape)


def linear(
    x: torch.Tensor,
    a: Any,
    bias: Any = None,
    activation: str | None = None,
    residual: Any = None,
    *,
    where: Any = None,
    out: Any = None,
    variant: str = "auto",
) -> torch.Tensor:
    """Of :func:`pith.linear`."""
    require_activation(activation, "pith.linear")
    require_variant(variant)
    if len(a.shape) != 2:
        raise ShapeError(f"expects a matrix as weight, got shape {tuple(a.shape)}", where="pith.linear")
    shape = result_shape_of(x, a)
    for name, tensor, expected in (("bias", bias, shape[-1:]), ("residual", residual, shape)):
        if tensor is not None:
            _require(f"pith.linear: {name}", tensor, expected, None if _quantized(a) else x.dtype)
    if _quantized(a):
        return _new(x, shape, torch.float32)
    if x.dtype != a.dtype:
        raise DTypeError(f"expects x of {a.dtype}, the type of the weight, got {x.dtype}", where="pith.linear: x")
    return _new(x, shape)


def einsum(equation: str, *operands: torch.Tensor, bias: Any = None, activation: Any = None, **_: Any) -> torch.Tensor:
    """Of :func:`pith.einsum`."""
    parsed = parse(equation, tuple(t.dim() for t in operands))
    return einsum_terms(parsed.inputs, parsed.result, {}, {}, *operands)


def einsum_terms(
    inputs: tuple[str, ...], result: str, patterns: Any, sizes: dict[str, int], *operands: torch.Tensor
) -> torch.Tensor:
    """Of the sums that :func:`pith.torch.einsum` differentiates."""
    found = {**sizes, **extents(Equation(inputs, result), [t.shape for t in operands])}
    for i, operand in enumerate(operands[1:], 1):
        if operand.dtype != operands[0].dtype:
            what = f"expects operands of one element type, got {operands[0].dtype} and {operand.dtype}"
            raise DTypeError(what, where=f"pith.einsum: operand {i}")
    return _summed(operands[0], tuple(found[c] for c in result))


def routed(rows: torch.Tensor, w: torch.Tensor, experts: torch.Tensor) -> torch.Tensor:
    """Of a layer of :class:`pith.torch.MoE`."""
    _require("MoE: w", w, (w.shape[0], rows.shape[1], w.shape[2]), rows.dtype)
    return _new(rows, (rows.shape[0], w.shape[2]))


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, return_lse: bool = False, **limits: Any) -> Any:
    """Of :func:`pith.attention`."""
    found = attended(q, k, v, **limits)
    return found if return_lse else found[0]


def attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, lengths: Any = None, **_: Any) -> Any:
    """Of the attention that :func:`pith.torch.sparse_attention` differentiates."""
    where, shapes = "pith.attention", [tuple(t.shape) for t in (q, k, v)]
    if len({len(s) for s in shapes}) > 1 or q.dim() < 2:
        raise ShapeError(f"expects operands of one rank, at least 2, got shapes {shapes}", where=where)
    if q.dtype != k.dtype or q.dtype != v.dtype:
        raise DTypeError(f"expects one element type, got {[str(t.dtype) for t in (q, k, v)]}", where=where)
    heads, places = (1, 0) if lengths is not None and q.dim() == 3 else (-3, -2)
    fits = q.shape[-1] == k.shape[-1] and k.shape[places] == v.shape[places] and shapes[0][:-3] == shapes[1][:-3]
    if q.dim() > 2:
        fits = fits and k.shape[heads] == v.shape[heads] and k.shape[heads] and q.shape[heads] % k.shape[heads] == 0
    if not fits:
        raise ShapeError(f"shapes {shapes} of q, k and v do not fit each other", where=where)
    lse = torch.float64 if q.dtype == torch.float64 else torch.float32
    return _new(q, (*q.shape[:-1], v.shape[-1])), _new(q, tuple(q.shape[:-1]), lse)


def moe(
    x: torch.Tensor,
    experts: torch.Tensor,
    w1: torch.Tensor,
    w2: torch.Tensor,
    gates: Any = None,
    *,
    b1: Any = None,
    b2: Any = None,
    activation: str | None = "gelu",
) -> torch.Tensor:
    """Of :func:`pith.moe`."""
    hidden = _grouped("pith.moe", x, experts, w1, gates, b1, activation, ("w1", "b1"))
    return _grouped("pith.moe", hidden, experts, w2, gates, b2, None, ("w2", "b2"))


def grouped_matmul(
    x: torch.Tensor,
    experts: torch.Tensor,
    w: torch.Tensor,
    gates: Any = None,
    *,
    bias: Any = None,
    activation: str | None = None,
) -> torch.Tensor:
    """Of :func:`pith.grouped_matmul`."""
    return _grouped("pith.grouped_matmul", x, experts, w, gates, bias, activation, ("w", "bias"))


def _grouped(
    where: str, x: Any, experts: Any, w: Any, gates: Any, bias: Any, activation: str | None, names: tuple[str, str]
) -> torch.Tensor:
    if x.dim() != 2:
        raise ShapeError(f"expects x of shape (tokens, in), got {tuple(x.shape)}", where=where)
    chosen: Sequence[int] = getattr(experts, "shape", None) or torch.tensor(experts).shape
    if len(chosen) not in (1, 2) or chosen[0] != x.shape[0]:
        what = f"expects experts of shape ({x.shape[0]},) or ({x.shape[0]}, k), got {tuple(chosen)}"
        raise ShapeError(what, where=where)
    require_activation(activation, where)
    _require(f"{where}: {names[0]}", w, (-1, x.shape[1], -1), x.dtype)
    if bias is not None:
        _require(f"{where}: {names[1]}", bias, (w.shape[0], w.shape[2]), x.dtype)
    if gates is not None:
        _require(f"{where}: gates", gates, chosen, x.dtype)
    return _new(x, (x.shape[0], w.shape[2]))


def relu_ffn(x: torch.Tensor, w1: torch.Tensor, b1: Any, w2: torch.Tensor, b2: Any, **_: Any) -> torch.Tensor:
    """Of :func:`pith.relu_ffn`."""
    where = "pith.relu_ffn"
    if not x.dim():
        raise ShapeError("expects x of shape (..., in), got a number", where=where)
    _require(f"{where}: w1", w1, (x.shape[-1], -1), x.dtype)
    _require(f"{where}: w2", w2, (w1.shape[1], -1), x.dtype)
    for name, bias, w in (("b1", b1, w1), ("b2", b2, w2)):
        if bias is not None:
            _require(f"{where}: {name}", bias, w.shape[1:], x.dtype)
    return _new(x, (*x.shape[:-1], w2.shape[1]))


def conv2d(
    x: torch.Tensor, w: Any, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, **_: Any
) -> torch.Tensor:
    """Of :func:`pith.conv2d`."""
    if x.dim() != 4 or len(w.shape) != 4 or x.shape[1] != w.shape[1] * groups:
        what = f"expects (n, c, height, width) and (f, c, rows, columns), got {tuple(x.shape)} and {tuple(w.shape)}"
        raise ShapeError(what, where="pith.conv2d")
    if x.dtype != w.dtype:
        raise DTypeError(f"no kernel for {x.dtype} and {w.dtype}", where="pith.conv2d")
    return _summed(x, Geometry.of(stride, padding, dilation, "pith.conv2d").shape(x.shape, w.shape))


def route(logits: torch.Tensor, k: int = 1, *, normalize: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Of :func:`pith.route`."""
    if logits.dim() != 2 or not 0 <= k <= logits.shape[1]:
        what = f"expects logits of shape (tokens, n_experts) and up to that many, got {tuple(logits.shape)} and {k}"
        raise ShapeError(what, where="pith.route")
    return _new(logits, (logits.shape[0], k), torch.int64), _new(logits, (logits.shape[0], k))


def layer_norm(x: torch.Tensor, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> torch.Tensor:
    """Of :func:`pith.layer_norm`."""
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None:
            _require(f"pith.layer_norm: {name}", tensor, x.shape[-1:], x.dtype)
    if not eps >= 0:
        raise ArgumentError(f"expects eps >= 0, got {eps}", where="pith.layer_norm")
    return _new(x, tuple(x.shape))


def stored_product(x: torch.Tensor, values: torch.Tensor, pattern: Stored, bias: torch.Tensor | None) -> torch.Tensor:
    """Of :func:`pith.torch.sparse_linear`."""
    return _new(x, (*x.shape[:-1], pattern.shape[0]))


def _quantized(a: Any) -> bool:
    return isinstance(a, Stored) and a.quantized


def _new(like: torch.Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> torch.Tensor:
    return like.new_empty(shape, dtype=dtype or like.dtype)


def _summed(like: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return _new(like, shape, _SUMS.get(like.dtype))


def _require(where: str, tensor: Any, shape: Sequence[int], dtype: torch.dtype | None) -> None:
    """Raise unless a tensor has a shape (-1: any size) and a type."""
    if len(tensor.shape) != len(shape) or any(want not in (-1, got) for want, got in zip(shape, tensor.shape)):
        want = ", ".join("..." if isinstance(n, int) and n < 0 else str(n) for n in shape)
        raise ShapeError(f"expects shape ({want}), got {tuple(tensor.shape)}", where=where)
    if dtype is not None and tensor.dtype != dtype:
        raise DTypeError(f"expects {dtype} like the other operands, got {tensor.dtype}", where=where)
