"""``torch.library`` ops that carry what pith knows about a graph through the FX importer.

:mod:`pith.torch.linalg.expansions` rewrites them before lowering. ``mark`` and ``reshape`` live only between export and
lowering; ``attention`` is an op of models (:mod:`pith.torch.interval_attention`).
"""

from __future__ import annotations

from typing import Any

import torch

LIBRARY = torch.library.Library("pith", "FRAGMENT")
LIBRARY.define("mark(Tensor x, str name) -> Tensor")
LIBRARY.define("reshape(Tensor x, SymInt[] shape, str groups) -> Tensor")
LIBRARY.define(
    "attention(Tensor query, Tensor key, Tensor value, Tensor intervals, float scale, Tensor? bias=None) -> Tensor"
)
LIBRARY.define("linear_of_rows(Tensor x, Tensor weight, Tensor mask) -> Tensor")
LIBRARY.impl("linear_of_rows", lambda x, weight, mask: x @ weight.T, "CompositeExplicitAutograd")
LIBRARY.define("grouped_mm(Tensor x, Tensor weight, Tensor offs, bool transposed) -> Tensor")
LIBRARY.define(
    "bags(Tensor table, Tensor indices, Tensor begins, Tensor ends, Tensor? weights, int mode, int padding) -> Tensor"
)
LIBRARY.impl("mark", lambda x, name: x.clone(), "CompositeExplicitAutograd")
LIBRARY.impl("reshape", lambda x, shape, groups: x.reshape(shape).clone(), "CompositeExplicitAutograd")


@torch.library.impl(LIBRARY, "grouped_mm", "CompositeExplicitAutograd")
def _grouped_mm(x: torch.Tensor, weight: torch.Tensor, offs: torch.Tensor, transposed: bool) -> torch.Tensor:
    wide = torch.float32 if x.element_size() < 4 else x.dtype
    return x.new_zeros((x.shape[0], weight.shape[1 if transposed else 2]), dtype=wide)


@torch.library.impl(LIBRARY, "bags", "CompositeExplicitAutograd")
def _bags(
    table: torch.Tensor, indices: torch.Tensor, begins: torch.Tensor, ends: torch.Tensor, *_: Any
) -> torch.Tensor:
    wide = torch.float32 if table.element_size() < 4 else table.dtype
    return table.new_zeros((begins.shape[0], table.shape[1]), dtype=wide)


#: ``mark(x, name)``: x, the output of submodule ``name``, which the user declared sparse.
MARK = torch.ops.pith.mark.default

#: ``reshape(x, shape, groups)``: a view whose dimensions correspond group by group
#: (``groups`` is JSON: a list of [source dims, result dims]).
RESHAPE = torch.ops.pith.reshape.default

#: ``attention(query, key, value, intervals, scale, bias=None)``: see :func:`pith.torch.attention`; ``bias`` as the op
#: ``pith.attention`` takes it.
ATTENTION = torch.ops.pith.attention.default

#: ``linear_of_rows(x, weight, mask)``: the rows of ``x @ weight^T`` that a mask picks; what others hold is not said.
LINEAR_OF_ROWS = torch.ops.pith.linear_of_rows.default

#: ``grouped_mm(x, weight, offs, transposed)``: ``x[s] @ weight[e]`` for the group e of row s, in f32 for narrower
#: types; groups end at ``offs``, and what is behind them is zero. ``transposed``: ``weight[e]`` is stored transposed.
GROUPED_MM = torch.ops.pith.grouped_mm.default

#: ``bags(table, indices, begins, ends, weights, mode, padding)``: of every bag b the sum (mode 0), mean (1) or maximum
#: (2) of the rows ``indices[begins[b]:ends[b]]`` but ``padding`` (-1 for none), each times its weight, in f32 for
#: narrower types; zero where there are none.
BAGS = torch.ops.pith.bags.default
