"""PyTorch's sparse layouts as formats."""

from __future__ import annotations

import torch

from ..errors import UnsupportedError
from ..formats import Format
from ..formats.layouts import bsc


def format_of(tensor: torch.Tensor, where: str) -> Format | None:
    """The format of a COO, CSR, CSC, BSR or BSC tensor with its index width; None for a strided one.

    Errors: :class:`pith.UnsupportedError` for other layouts, batches and dense trailing dimensions.

    >>> print(format_of(torch.eye(4).to_sparse_csr(), "x"), format_of(torch.eye(4), "x"))
    d0 : dense, d1 : compressed None
    """
    layout = tensor.layout
    if layout is torch.strided:
        return None
    if layout is torch.sparse_coo:
        _require(tensor.dense_dim() == 0, "COO with dense trailing dimensions", where)
        return Format.coo(tensor.dim(), _bits(tensor._indices()))
    by_row = layout in (torch.sparse_csr, torch.sparse_bsr)
    _require(by_row or layout in (torch.sparse_csc, torch.sparse_bsc), str(layout), where)
    _require(tensor.dim() == 2, f"a batch of {layout} matrices", where)
    bits = _bits(tensor.crow_indices() if by_row else tensor.ccol_indices())
    if layout in (torch.sparse_csr, torch.sparse_csc):
        return Format.csr(bits) if by_row else Format.csc(bits)
    height, width = tensor.values().shape[-2:]
    return (Format.bsr if by_row else bsc)(height, width, bits)


def stand_in(tensor: torch.Tensor) -> torch.Tensor:
    """A strided tensor with the shape and dtype of ``tensor``; its pages are never touched."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)


def _bits(indices: torch.Tensor) -> int:
    return torch.iinfo(indices.dtype).bits


def _require(ok: bool, what: str, where: str) -> None:
    if not ok:
        raise UnsupportedError(
            f"cannot import {what}", where=where, hint="convert it to CSR, CSC, COO, BSR, BSC or a strided tensor"
        )
