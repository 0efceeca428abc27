"""The transforms of ``torch.func``, which no kernel takes part in."""

from __future__ import annotations

import torch

from ...errors import UnsupportedError


def refuse_transforms(where: str) -> None:
    """Raise :class:`pith.UnsupportedError` inside of ``torch.func.grad``, ``vmap`` and their kin.

    >>> refuse_transforms("pith.torch.einsum")
    """
    if torch._C._are_functorch_transforms_active():
        raise UnsupportedError(
            "torch.func (grad, vmap, jvp, ...) does not go through kernels",
            where=where,
            hint="loss.backward() or torch.autograd.grad; for torch.func a dense layer: layer.to_linear()",
        )
