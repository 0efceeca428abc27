"""``torch.nn.TransformerEncoderLayer`` as one op, which torch takes for inference, as the ops it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import gelu, layer_norm, linear, relu, scaled_dot_product_attention

_aten = torch.ops.aten

#: Kinds of masks: of queries and keys, of the keys of a sequence; 2 is one of four dimensions.
_OF_PAIRS, _OF_KEYS = 0, 1


def rules() -> dict[Any, Callable[..., Any]]:
    """Op -> its decomposition."""
    return {_aten._transformer_encoder_layer_fwd.default: encoder_layer}


def encoder_layer(
    src: torch.Tensor,
    embed_dim: int,
    num_heads: int,
    qkv_weight: torch.Tensor,
    qkv_bias: torch.Tensor,
    proj_weight: torch.Tensor,
    proj_bias: torch.Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: torch.Tensor,
    norm_bias_1: torch.Tensor,
    norm_weight_2: torch.Tensor,
    norm_bias_2: torch.Tensor,
    ffn_weight_1: torch.Tensor,
    ffn_bias_1: torch.Tensor,
    ffn_weight_2: torch.Tensor,
    ffn_bias_2: torch.Tensor,
    mask: torch.Tensor | None = None,
    mask_type: int | None = None,
) -> torch.Tensor:
    """Attention and feed-forward, each with a norm before or behind it; a mask hides what it says true of.

    >>> layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    >>> attention, x = layer.self_attn, torch.randn(1, 5, 8)
    >>> parameters = [p.detach() for p in layer.parameters()]  # attention's, the linear layers', the norms'
    >>> norms, ffn = parameters[8:], parameters[4:8]
    >>> y = encoder_layer(x, 8, 2, *parameters[:4], False, False, 1e-5, *norms, *ffn)
    >>> torch.allclose(y, layer(x), atol=1e-5)
    True
    """
    shown = None if mask is None else _by_heads(mask, mask_type).to(torch.bool).logical_not()

    def attention(x: torch.Tensor) -> torch.Tensor:
        parts = linear(x, qkv_weight, qkv_bias).split(embed_dim, -1)
        q, k, v = (part.unflatten(-1, (num_heads, embed_dim // num_heads)).transpose(1, 2) for part in parts)
        seen = scaled_dot_product_attention(q, k, v, shown)
        return linear(seen.transpose(1, 2).flatten(2), proj_weight, proj_bias)

    def ffn(x: torch.Tensor) -> torch.Tensor:
        hidden = linear(x, ffn_weight_1, ffn_bias_1)
        return linear(gelu(hidden) if use_gelu else relu(hidden), ffn_weight_2, ffn_bias_2)

    def first(x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, (embed_dim,), norm_weight_1, norm_bias_1, eps)

    def second(x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, (embed_dim,), norm_weight_2, norm_bias_2, eps)

    if norm_first:
        x = src + attention(first(src))
        return x + ffn(second(x))
    x = first(src + attention(src))
    return second(x + ffn(x))


def _by_heads(mask: torch.Tensor, mask_type: int | None) -> torch.Tensor:
    """A mask that broadcasts to (sequences, heads, queries, keys)."""
    if mask_type == _OF_KEYS:
        return mask[:, None, None, :]
    return mask[None, None] if mask_type == _OF_PAIRS else mask
