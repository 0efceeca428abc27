"""Random matrices in a format, as the flat buffers a kernel takes, on the device."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from pith.formats.format import Format
from pith.formats.pack import pack
from pith.formats.pack_read import unpack
from pith.formats.prune import prune_array
from pith.sparse import SparseTensor

from .programs import storage

if TYPE_CHECKING:
    from .problems import Draw

#: Rows whose places are drawn; those of static formats are repeated below, with other values.
_SLAB = 512


@dataclasses.dataclass(frozen=True)
class Stored:
    """A matrix twice: in a format on the host, as kernels are given it once, and dense on the device."""

    tensor: SparseTensor
    dense: torch.Tensor


def stored(draw: Draw, shape: tuple[int, int], element: str, name: str, empty: float | None = None) -> Stored:
    """A random matrix in the format ``name``: pruned to it, or with a share of its elements ``empty``."""
    fmt = storage(name)
    if name == "csr" and empty is not None:
        return _rows(draw, shape, element, fmt, empty)
    rows = _SLAB if empty is None and shape[0] % _SLAB == 0 else shape[0]
    rng = np.random.default_rng(int(torch.randint(1 << 30, (1,), generator=draw.generator, device=draw.device)))
    slab = rng.standard_normal((rows, shape[1]), np.float32)
    slab = prune_array(slab, fmt) if empty is None else np.where(rng.random(slab.shape) < empty, np.float32(0), slab)
    *metadata, packed = pack(slab, fmt)
    places = unpack([*metadata, np.arange(1, packed.size + 1, dtype=np.float64)], fmt, slab.shape).astype(np.int64)
    times = shape[0] // rows
    values = draw.normal(times, packed.size, element=element)
    nothing = torch.zeros(times, 1, dtype=values.dtype, device=draw.device)
    dense = torch.cat([nothing, values], 1)[:, torch.from_numpy(places).to(draw.device).view(-1)].view(shape)
    buffers = [*(np.tile(m, times) for m in metadata), values.view(-1).cpu().numpy()]
    return Stored(SparseTensor(shape, fmt, tuple(buffers)), dense)


def _rows(draw: Draw, shape: tuple[int, int], element: str, fmt: Format, empty: float) -> Stored:
    """Rows of any length, made on the device: large matrices take the host too long."""
    kept = torch.rand(shape, generator=draw.generator, device=draw.device) >= empty
    dense = draw.normal(*shape, element=element).masked_fill_(~kept, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls CSR a beta at its first use
        rows = dense.to_sparse_csr()
    metadata = [part.to(torch.int32).cpu().numpy() for part in (rows.crow_indices(), rows.col_indices())]
    return Stored(SparseTensor(shape, fmt, (*metadata, rows.values().cpu().numpy())), dense)
