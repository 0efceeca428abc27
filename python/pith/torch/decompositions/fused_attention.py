"""``scaled_dot_product_attention`` of an exported program as ``pith.attention``, or as the products it is short for."""

from __future__ import annotations

import dataclasses
import math

import torch

from ..interval_attention import ATTENTION

#: With fewer queries, products and a softmax are faster: a block of the fused kernel has 24 (AVX2), and computes all of
#: them. Against products, batch 8, 12 heads on Zen 3: 8 queries x 64 keys 2.0 times as long, 16 x 16 as long,
#: 24 x 24 0.63 times; 512 x 512 0.9, causal 0.5 (2026-11-21).
LEAST_QUERIES = 16

#: Additive masks are cut here, but for -inf, so that a row of them is a row of equal scores in powers of two as well:
#: transformers write the least number of the type in place of -inf.
_LEAST = {torch.float32: -2.0e38, torch.float64: -0.6e308}


@dataclasses.dataclass(frozen=True)
class Attentions:
    """The decomposition of ``scaled_dot_product_attention``.

    Attributes:
        found: what became of each, for ``explain()``; keys in order, once each: torch traces a program repeatedly.
    """

    found: dict[str, None] = dataclasses.field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """A line for each that differs."""
        return tuple(self.found)

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        """One op where the fused kernel can compute it and is not slower; else products and a softmax."""
        why_not = _why_apart(query, key, value, attn_mask, dropout_p)
        sizes = f"{_text(query.shape)} queries, {_text(key.shape)} keys"
        if why_not is not None:
            self.found[f"attention ({sizes}): products and a softmax, {why_not}"] = None
            return _apart(query, key, value, attn_mask, dropout_p, is_causal, scale)
        factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        seen = "causal" if is_causal else "all keys" if attn_mask is None else "a mask"
        self.found[f"attention ({sizes}, {seen}): fused, no scores in memory"] = None
        missing = 4 - query.dim()
        q, k, v = (_with_axes(x, missing) for x in (query, key, value))
        bias = None if attn_mask is None else bias_of(attn_mask, q)
        out = ATTENTION(q, k, v, _intervals(q, k, is_causal), factor, bias)
        for _ in range(missing):
            out = out.squeeze(0)
        return out


def bias_of(mask: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """A mask of ``scaled_dot_product_attention`` as the bias of ``pith.attention``: keys before queries, f32 or f64.

    >>> bias_of(torch.tensor([[True, False]]), torch.zeros(1, 1, 1, 8)).flatten().tolist()
    [0.0, -inf]
    """
    computed = torch.float64 if query.dtype == torch.float64 else torch.float32
    mask = _with_axes(mask, 4 - mask.dim())
    if mask.dtype == torch.bool:
        hidden = torch.full((), -math.inf, dtype=computed)
        return torch.where(mask.mT, torch.zeros((), dtype=computed), hidden)
    transposed = mask.mT.to(computed)
    return torch.where(transposed == -math.inf, transposed, transposed.clamp(min=_LEAST[computed]))


def _why_apart(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, dropout: float
) -> str | None:
    """Why the fused kernel is not taken; None: it is."""
    if dropout:
        return "for dropout"
    if not 2 <= query.dim() <= 4 or not query.dim() == key.dim() == value.dim():
        return "for tensors of other than two to four axes each"
    if not all(isinstance(n, int) for n in (query.shape[-1], value.shape[-1])):
        return "for a head size known at run time only"
    batch = [x.shape[0] for x in (query, key, value)] if query.dim() == 4 else [1]
    if any(n != batch[0] for n in batch):
        return "for batches of different sizes"
    if query.dim() > 2 and (key.shape[-3] != value.shape[-3] or query.shape[-3] % key.shape[-3]):
        return "for heads that are broadcast to those of the keys or values"
    if isinstance(query.shape[-2], int) and query.shape[-2] < LEAST_QUERIES:
        return "faster for so few queries"
    if mask is not None and (mask.dim() > 4 or not _is_whole(mask, query, key)):
        return "for a mask that is broadcast along keys"
    return None


def _is_whole(mask: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> bool:
    """Whether a mask has its own number for every key; it may share rows."""
    return bool(mask.dim() and mask.shape[-1] == key.shape[-2] and (mask.dim() < 2 or query.dim() >= mask.dim()))


def _with_axes(x: torch.Tensor, count: int) -> torch.Tensor:
    for _ in range(count):
        x = x.unsqueeze(0)
    return x


def _intervals(query: torch.Tensor, key: torch.Tensor, causal: bool) -> torch.Tensor:
    """The keys each query sees: all, or those up to its own position."""
    queries, keys = query.shape[2], key.shape[2]
    ends = torch.arange(1, queries + 1, dtype=torch.int32).clamp(max=keys) if causal else None
    ends = torch.full((queries,), keys, dtype=torch.int32) if ends is None else ends
    return (ends.unsqueeze(1) * torch.arange(2, dtype=torch.int32)).unsqueeze(0)


def _apart(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    causal: bool,
    scale: float | None,
) -> torch.Tensor:
    if query.dim() > 2 and 1 < key.shape[-3] < query.shape[-3]:  # other sizes are equal, or broadcast
        share = query.shape[-3] // key.shape[-3]
        key, value = (x.repeat_interleave(share, -3) for x in (key, value))
    scores = (query * (_root_scale(query) if scale is None else scale)) @ key.mT
    if causal:
        mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
    if mask is None:
        weights = scores.softmax(-1)
    else:
        hidden = torch.full((), -math.inf, dtype=scores.dtype)
        scores = torch.where(mask, scores, hidden) if mask.dtype == torch.bool else scores + mask
        weights = torch.ops.aten._safe_softmax(scores, -1)
    return torch.dropout(weights, dropout, True) @ value if dropout else weights @ value


def _root_scale(query: torch.Tensor) -> float | torch.Tensor:
    """One over the root of the head size; a tensor where calls bring the size: the root of a symbol would fix it."""
    size = query.shape[-1]
    return 1 / math.sqrt(size) if isinstance(size, int) else torch.full((), size, dtype=query.dtype).rsqrt()


def _text(shape: torch.Size) -> str:
    return "x".join(str(n) if isinstance(n, int) else "?" for n in shape)
