"""Two ``torch.library`` ops that carry what pith knows about a graph through the FX importer.

They live only between export and lowering: :mod:`pith.torch.lowering` rewrites both.
"""

from __future__ import annotations

import torch

_LIBRARY = torch.library.Library("pith", "FRAGMENT")
_LIBRARY.define("mark(Tensor x, str name) -> Tensor")
_LIBRARY.define("reshape(Tensor x, SymInt[] shape, str groups) -> Tensor")
_LIBRARY.impl("mark", lambda x, name: x.clone(), "CompositeExplicitAutograd")
_LIBRARY.impl("reshape", lambda x, shape, groups: x.reshape(shape).clone(), "CompositeExplicitAutograd")

#: ``mark(x, name)``: x, the output of submodule ``name``, which the user declared sparse.
MARK = torch.ops.pith.mark.default

#: ``reshape(x, shape, groups)``: a view whose dimensions correspond group by group
#: (``groups`` is JSON: a list of [source dims, result dims]).
RESHAPE = torch.ops.pith.reshape.default
