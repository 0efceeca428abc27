"""The decomposition table of the import: torch-mlir's, less what it lowers worse after decomposing."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..._mlir import fx_importer
from ..rewrites.grouped_products import histc
from . import elementwise, embedding_bags, encoder_layers
from .convolutions import conv2d, conv_transpose
from .fused_attention import Attentions
from .ranking import bucketize, kthvalue, median, median_of_all, searchsorted, sort, topk
from .reductions import with_scalars, with_wide_sums
from .scans import cummax, cummin, cumprod, cumsum, logcumsumexp

_aten = torch.ops.aten

#: Kept whole. Decomposed, ``linear`` and ``matmul`` go through views that merge batch and sequence,
#: and the normalisations through a variance in float64.
_KEPT = (_aten.linear, _aten.addmm, _aten.matmul, _aten.layer_norm, _aten.native_layer_norm)


def decomposition_table(attentions: Attentions | None = None) -> dict[Any, Callable]:
    """Op -> its decomposition, as ``ExportedProgram.run_decompositions`` takes it (a fresh dict).

    Args:
        attentions: what decomposes attention; keeps notes.
    """
    everything = fx_importer().get_decomposition_table()
    table: dict[Any, Callable] = {
        op: rule for op, rule in everything.items() if getattr(op, "_overloadpacket", None) not in _KEPT
    }
    table[_aten.layer_norm.default] = layer_norm
    table[_aten._sparse_addmm.default] = sparse_addmm
    table[_aten._native_batch_norm_legit_no_training.default] = batch_norm
    table[_aten.conv2d.default] = conv2d
    for op in (_aten.conv_transpose1d.default, _aten.conv_transpose2d.input, _aten.conv_transpose3d.input):
        table[op] = conv_transpose
    table[_aten.constant_pad_nd.default] = constant_pad_nd
    table[_aten.cumsum.default] = cumsum
    table[_aten.cumprod.default] = cumprod
    table[_aten.cummax.default] = cummax
    table[_aten.cummin.default] = cummin
    table[_aten.logcumsumexp.default] = logcumsumexp
    table[_aten.empty_strided.default] = empty_strided
    table |= elementwise.rules()
    table[_aten.gelu.default] = gelu
    table[_aten.sort.default] = table[_aten.sort.stable] = sort
    table[_aten.topk.default] = topk
    table[_aten.histc.default] = histc
    table[_aten.kthvalue.default] = kthvalue
    table[_aten.median.dim] = median
    table[_aten.median.default] = median_of_all
    table[_aten.bucketize.Tensor] = table[_aten.bucketize.Scalar] = bucketize
    table[_aten.searchsorted.Tensor] = table[_aten.searchsorted.Scalar] = searchsorted
    table[_aten.index_add.default] = functools.partial(index_add, table[_aten.index_add.default])
    for op in (_aten.scatter.src, _aten.scatter.value, _aten.scatter_add.default, _aten.scatter_reduce.two):
        table[op] = functools.partial(_with_positive_dim, op)
    table |= embedding_bags.rules() | encoder_layers.rules()
    table[_aten.scaled_dot_product_attention.default] = attentions or Attentions()
    table |= with_scalars(table)
    return table | with_wide_sums(table)


def layer_norm(
    x: torch.Tensor,
    normalized_shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> torch.Tensor:
    """Layer normalisation in the element type of ``x``, two passes over each row.

    >>> x = torch.randn(3, 8)
    >>> torch.allclose(layer_norm(x, [8]), torch.nn.functional.layer_norm(x, [8]), atol=1e-6)
    True
    """
    dims = list(range(-len(normalized_shape), 0))
    centred = x - x.mean(dims, keepdim=True)
    out = centred * torch.rsqrt((centred * centred).mean(dims, keepdim=True) + eps)
    if weight is not None:
        out = out * weight
    return (out if bias is None else out + bias).to(x.dtype)


def index_add(rule: Callable, x: torch.Tensor, dim: int, index: Any, source: torch.Tensor, *, alpha: Any = 1) -> Any:
    """Booleans are added as ``or``; everything else by ``rule``.

    >>> x = torch.tensor([True, False])
    >>> index_add(torch.index_add, x, 0, torch.tensor([0, 0]), torch.tensor([True, True])).tolist()
    [True, False]
    """
    if x.dtype != torch.bool:
        return rule(x, dim, index, source, alpha=alpha)
    return rule(x.int(), dim, index, source.int(), alpha=int(alpha)) != 0


def gelu(x: torch.Tensor, *, approximate: str = "none") -> torch.Tensor:
    """GELU in f32 or f64. (The host's own has 0.797724 for ``sqrt(2 / pi)`` in the approximation.)

    >>> x = torch.linspace(-4, 4, 9)
    >>> torch.allclose(gelu(x, approximate="tanh"), torch.nn.functional.gelu(x, approximate="tanh"))
    True
    """
    wide = x if x.dtype == torch.float64 else x.float()
    if approximate == "tanh":
        inner = torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * (wide * wide * wide)))
    else:
        inner = torch.erf(wide * math.sqrt(0.5))
    return (0.5 * wide * (1 + inner)).to(x.dtype)


def batch_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor,
    variance: torch.Tensor,
    momentum: float,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Batch normalisation by stored statistics, as a factor and a summand per channel; no division to guard.

    >>> x = torch.randn(2, 3, 4)
    >>> torch.allclose(batch_norm(x, None, None, torch.zeros(3), torch.ones(3), 0.1, 0.0)[0], x)
    True
    """
    factor = torch.rsqrt(variance + eps)
    factor = factor if weight is None else factor * weight
    summand = -mean * factor if bias is None else bias - mean * factor
    shape = [-1] + [1] * (x.dim() - 2)
    return (x * factor.view(shape) + summand.view(shape)).to(x.dtype), x.new_empty(0), x.new_empty(0)


def constant_pad_nd(x: torch.Tensor, pad: Sequence[int], value: float = 0) -> torch.Tensor:
    """Padding by negative amounts cuts off; the host would shift instead.

    >>> constant_pad_nd(torch.arange(4), [-1, 2], 9).tolist()
    [1, 2, 3, 9, 9]
    """
    if not any(isinstance(n, int) and n < 0 for n in pad):
        return NotImplemented
    for i, (low, high) in enumerate(zip(pad[::2], pad[1::2])):
        cut = [max(-n, 0) if isinstance(n, int) else 0 for n in (low, high)]
        x = x.narrow(-1 - i, cut[0], x.shape[-1 - i] - sum(cut))
    return _aten.constant_pad_nd(x, [max(n, 0) if isinstance(n, int) else n for n in pad], value)


def _with_positive_dim(
    op: Callable[..., torch.Tensor], x: torch.Tensor, dim: int, *args: Any, **kwargs: Any
) -> torch.Tensor:
    """``op`` with ``dim`` counted from the front: of one counted from the end the host makes a write out of bounds."""
    return NotImplemented if dim >= 0 else op(x, dim + x.dim(), *args, **kwargs)


def sparse_addmm(
    base: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, beta: float = 1, alpha: float = 1
) -> torch.Tensor:
    """``torch.sparse.mm`` and its kin as the dense product they compute; the format of ``a`` says the rest.

    >>> a, b = torch.eye(3), torch.ones(3, 2)
    >>> torch.equal(sparse_addmm(b, a, b, beta=0, alpha=2), 2 * b)
    True
    """
    product = a @ b if alpha == 1 else (a @ b) * alpha
    return product if beta == 0 else base * beta + product


def empty_strided(size: Sequence[int], stride: Sequence[int], **options: Any) -> torch.Tensor:
    """Memory for a tensor in order; strides say nothing here, and torch-mlir does not know the arithmetic of some."""
    return torch.empty(size, **options)
