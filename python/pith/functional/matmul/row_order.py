"""Products whose rows the stored order visits many times, on a copy in row order once they are repeated.

``A.T @ x`` and ``x @ A`` for an ``A`` stored by rows add to every row of the result in many places: through
memory, at a third to half of the speed of kernels that finish a row in registers. A tensor that is multiplied
so again and again is stored a second time, in the order of those rows, like :func:`pith.torch.sparse_linear` does
for gradients. That copy takes per entry (block or element) its values once more, 4 bytes of coordinate and 8
of index; it lives as long as the tensor, and is gathered anew when :func:`pith.repack` overwrites the values.
"""

from __future__ import annotations

import dataclasses

from ...formats import Format
from ...generation import generation
from ...sparse import SparseTensor
from .copies import products_of
from .transposed import Transposed, row_order_pays

#: Columns multiplied before the copy is made: about as long as making it takes. 2048x2048 f32 on one Zen 3 core,
#: per column saved and for the copy: 2:4 0.08 and 140 ms, C1(2:4)->C0(2:4) 0.06 and 80 ms, 4x4 blocks
#: 0.16 and 40 ms (2026-11).
COLUMNS_BEFORE = 1024

#: Products of fewer columns are as fast in the stored order.
LEAST_COLUMNS = 8


@dataclasses.dataclass(slots=True)
class RowOrder:
    """What is kept for one side of a tensor's products."""

    columns: int = 0
    index: Transposed | None = None
    tensor: SparseTensor | None = None
    generation: int = -1


def may_reorder(fmt: Format, kept_dim: int) -> bool:
    """True when products that keep ``kept_dim`` are faster on a copy in the order of its coordinates.

    >>> may_reorder(Format.csr(), 0), may_reorder(Format.csr(), 1)
    (False, True)
    """
    from pith.lowering.panel.variant import Roles

    if fmt.rank != 2 or Roles.of(fmt, kept_dim).direct:
        return False
    return row_order_pays(fmt if kept_dim else fmt.transposed())


def in_row_order(a: SparseTensor, right: bool, columns: int) -> SparseTensor | None:
    """The copy of ``a`` for ``a @ x`` (``right``: ``x @ a``); None while too few columns were multiplied."""
    if columns < LEAST_COLUMNS:
        return None
    orders = products_of(a).orders
    state = orders.get(right)
    if state is None:
        state = orders[right] = RowOrder()
    if state.index is None:
        state.columns += columns
        if state.columns <= COLUMNS_BEFORE:
            return None
        state.index = Transposed(a if right else a.T)
    if state.tensor is None or state.generation != generation():
        copy = state.index.tensor(a.values)
        state.tensor, state.generation = (copy.T if right else copy), generation()
    return state.tensor
