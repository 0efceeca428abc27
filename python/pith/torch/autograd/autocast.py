"""What a region of ``torch.autocast`` means for functions that run kernels."""

from __future__ import annotations

from typing import Any

import torch

#: Types that regions change.
_CAST = (torch.float32, torch.float16, torch.bfloat16)


def autocast(*tensors: torch.Tensor | None) -> tuple[Any, ...]:
    """The tensors in the type of the ``torch.autocast`` region around, as ``torch.nn.functional.linear`` takes them.

    Semantics: as they are outside of regions; f64, integers and None are left alone. Differentiable.

    >>> x, i = torch.ones(2), torch.arange(2)
    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     [t.dtype for t in autocast(x, i)]
    [torch.bfloat16, torch.int64]
    """
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    dtype = torch.get_autocast_dtype("cpu")
    return tuple(t.to(dtype) if t is not None and t.dtype in _CAST else t for t in tensors)
