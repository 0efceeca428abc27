"""Operands of the cases: random matrices, every array on a 64-byte boundary; weights are copied for each contestant."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import Any

import numpy as np
import pith
import torch

#: Rows, contracted dimension and columns of the products that all suites measure.
SHAPES = ((2048, 512, 256), (3072, 768, 128), (1024, 4096, 64), (4096, 4096, 32), (4096, 4096, 1))


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that starts on a 64-byte boundary.

    >>> aligned(np.arange(3)).ctypes.data % 64
    0
    """
    from pith.formats.pack_buffers import aligned_empty

    out = aligned_empty(array.size, array.dtype).reshape(array.shape)
    out[...] = array
    return out


def poisoned(shape: tuple[int, ...]) -> np.ndarray:
    """An aligned f32 array of NaN for a result: a contestant that skips elements fails verification."""
    return aligned(np.full(shape, np.nan, np.float32))


@functools.lru_cache(maxsize=1)
def weights(rows: int, columns: int) -> np.ndarray:
    """Normally distributed f32 weights; one matrix is kept, so go through the shapes one by one."""
    return np.random.default_rng(0).standard_normal((rows, columns), np.float32)


def at_sparsity(dense: np.ndarray, sparsity: float) -> np.ndarray:
    """``dense`` with a share of its elements, drawn uniformly, zeroed."""
    keep = np.random.default_rng(1).random(dense.shape, np.float32) >= sparsity
    return np.where(keep, dense, np.float32(0))


@dataclasses.dataclass(frozen=True)
class Product:
    """``w @ x`` for a sparse ``w``: the same operands in every library's own types.

    Attributes:
        sparse: ``w`` as pith stores it.
        x: the dense operand.
        dense: ``w`` unpacked; None where it would be too large.
        reference: the result in float64.
    """

    sparse: pith.SparseTensor
    x: np.ndarray
    dense: np.ndarray | None
    reference: np.ndarray

    @classmethod
    def of(cls, w: np.ndarray, columns: int, fmt: Any) -> Product:
        """The product of ``w``, stored in ``fmt``, with a random matrix of that many columns."""
        x = _random(w.shape[1], columns)
        return cls(pith.compress(w, fmt), x, aligned(w), w.astype(np.float64) @ x.astype(np.float64))

    @classmethod
    def of_csr(cls, csr: pith.SparseTensor, columns: int) -> Product:
        """The product of a CSR matrix with a random one of that many columns; nothing is unpacked."""
        x = _random(csr.shape[1], columns)
        return cls(csr, x, None, csr.astype(np.float64).to_scipy() @ x.astype(np.float64))

    @property
    def flops(self) -> float:
        """Of the non-zeros."""
        return 2.0 * self.sparse.nnz * self.x.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the result."""
        return self.sparse.shape[0], self.x.shape[1]

    def csr(self) -> pith.SparseTensor:
        """The sparse operand as CSR with aligned buffers."""
        stored = self.sparse if self.dense is None else pith.compress(self.dense, pith.CSR)
        return own_copy(stored)


def own_copy(sparse: pith.SparseTensor) -> pith.SparseTensor:
    """A copy with aligned buffers that no other contestant reads.

    Whoever comes behind another one with the same weight finds it in the caches: 4096x4096x1 2:4 took 1.4 ms as the
    second and 2.5 as the first, by one kernel (Emerald Rapids, 2026-11-22).
    """
    return dataclasses.replace(sparse, buffers=tuple(map(aligned, sparse.buffers)))


def _random(rows: int, columns: int) -> np.ndarray:
    return aligned(np.random.default_rng(2).standard_normal((rows, columns), np.float32))


def torch_dense(product: Product) -> Any:
    """A call of torch's dense product, result preallocated."""
    w, x, out = map(torch.from_numpy, (product.dense, product.x, poisoned(product.shape)))
    return lambda: torch.mm(w, x, out=out)


def torch_csr(product: Product, csr: pith.SparseTensor) -> Any:
    """A call of torch's CSR product, result preallocated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Sparse CSR tensor support is in beta state"
        w = torch.sparse_csr_tensor(*map(torch.from_numpy, own_copy(csr).buffers), size=csr.shape)
    x, out = torch.from_numpy(product.x), torch.from_numpy(poisoned(product.shape))
    return lambda: torch.mm(w, x, out=out)


def pith_matmul(sparse: pith.SparseTensor, product: Product, variant: str = "auto") -> Any:
    """A call of :func:`pith.matmul`, result preallocated."""
    own, out = own_copy(sparse), poisoned(product.shape)
    return lambda: pith.matmul(own, product.x, out=out, variant=variant)


def set_threads(threads: int) -> None:
    """Threads of every contestant that has them."""
    from pith.runtime import set_num_threads

    torch.set_num_threads(threads)
    set_num_threads(threads)
