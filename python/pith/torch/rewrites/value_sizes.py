"""Sizes that only values tell: what is left of them after the rewrites that know such programs."""

from __future__ import annotations

from torch.fx import Graph

from ...errors import ImportProgramError
from ..locations import line_of_node
from .nodes import unknown_dim

#: What to do about rows that a mask picks.
COMPUTE_ON_ALL = (
    "do not ask how many rows a mask picks: leave out `if rows.numel() == 0: continue`, for products of no rows "
    "compute nothing; or use pith.torch.MoE"
)

_HINT = "multiply by the mask, or use torch.where, so that sizes stay; or pick outside the model"


def require_known_sizes(graph: Graph) -> None:
    """Refuse a program in which the size of a tensor depends on values: ``x[x > 0]``, ``nonzero``, ``unique``.

    Errors: :class:`pith.ImportProgramError` with the op and the model's source line.
    """
    for node in graph.nodes:
        if node.op == "call_function" and unknown_dim(node) is not None:
            name = str(node.target).removesuffix(".default")
            raise ImportProgramError(
                f"how many elements {name} gives depends on the values of a tensor",
                where=line_of_node(node),
                hint=_HINT,
            )
