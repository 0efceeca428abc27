"""Convolutions as the kernels like them: biases behind them, transposed ones without zeros between elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

_aten = torch.ops.aten


def conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> torch.Tensor:
    """A convolution, then its bias: elementwise ops that follow take the bias along.

    >>> x, w = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    >>> torch.allclose(conv2d(x, w, torch.ones(3)), torch.nn.functional.conv2d(x, w, torch.ones(3)), atol=1e-5)
    True
    """
    images = x if x.dim() == 4 else x.unsqueeze(0)
    pair = [list(v) * (2 // len(v)) for v in (stride, padding, dilation)]
    out = _aten.convolution(images, weight, None, *pair, False, [0, 0], groups)
    out = out if bias is None else out + bias.view(-1, 1, 1)
    return out if x.dim() == 4 else out.squeeze(0)


def conv_transpose(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
    dilation: Sequence[int] = (1,),
) -> Any:
    """A transposed convolution as a convolution that makes all phases of a step as channels of their own.

    The host spreads the image out with zeros, of which a 2x2 filter of step 2 multiplies three of four.

    >>> x, w, b = torch.randn(1, 4, 5, 5), torch.randn(4, 2, 3, 3), torch.ones(2)
    >>> y = torch.nn.functional.conv_transpose2d(x, w, b, 2, 1, 1)
    >>> torch.allclose(conv_transpose(x, w, b, [2], [1], [1]), y, atol=1e-5)
    True
    """
    rank = weight.dim() - 2
    steps, crop, more, spread = (list(v) * (rank // len(v)) for v in (stride, padding, output_padding, dilation))
    images = x if x.dim() == rank + 2 else x.unsqueeze(0)
    extents = list(weight.shape[2:])
    taps = [-(-k // s) for k, s in zip(extents, steps)]
    short = any(m > c + t * s - k for m, c, t, s, k in zip(more, crop, taps, steps, extents))
    if short or any(d != 1 for d in spread) or max(steps) == 1:
        return NotImplemented
    out = _phases(images, weight, groups, steps, taps)
    for axis, (c, k, s, m) in enumerate(zip(crop, extents, steps, more), start=2):
        size = (images.shape[axis] - 1) * s - 2 * c + k + m
        out = out if (c, size) == (0, out.shape[axis]) else out.narrow(axis, c, size)
    out = out if bias is None else out + bias.view(-1, *[1] * rank)
    return out if x.dim() == rank + 2 else out.squeeze(0)


def _phases(
    images: torch.Tensor, weight: torch.Tensor, groups: int, steps: Sequence[int], taps: Sequence[int]
) -> torch.Tensor:
    """The whole result, ``(sizes + taps - 1) * steps`` large: element ``q * step + r`` is phase ``r`` at ``q``."""
    rank, (channels, filters) = len(steps), weight.shape[:2]
    missing = [t * s - k for t, s, k in zip(taps, steps, weight.shape[2:])]
    if any(missing):
        weight = torch.nn.functional.pad(weight, [n for m in reversed(missing) for n in (0, m)])
    phases = math.prod(steps)
    if max(taps) == 1 and groups == 1:
        made = weight.reshape(channels, filters * phases).t() @ images.flatten(2)
    else:
        parts = [n for pair in zip(taps, steps) for n in pair]
        split = weight.view(groups, channels // groups, filters, *parts)
        tap, phase = range(3, 3 + 2 * rank, 2), range(4, 4 + 2 * rank, 2)
        flipped = split.permute(0, 2, *phase, 1, *tap).flip(list(range(3 + rank, 3 + 2 * rank)))
        own = flipped.reshape(groups * filters * phases, channels // groups, *taps)
        ones, around = [1] * rank, [t - 1 for t in taps]
        made = _aten.convolution(images, own, None, ones, around, ones, False, [0] * rank, groups)
    sizes = [n + t - 1 for n, t in zip(images.shape[2:], taps)]
    parted = made.view(images.shape[0], groups * filters, *steps, *sizes)
    order = [d for axis in range(rank) for d in (2 + rank + axis, 2 + axis)]
    wholes = [n * s for n, s in zip(sizes, steps)]
    return parted.permute(0, 1, *order).reshape(images.shape[0], groups * filters, *wholes)
