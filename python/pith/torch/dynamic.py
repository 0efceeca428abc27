"""Dynamic dimensions by name: ``{"x": {0: "batch", 1: "seq"}}``."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..errors import ArgumentError, ImportProgramError

if TYPE_CHECKING:
    from .exporting import Exported


@dataclasses.dataclass(frozen=True)
class DynamicDim:
    """A dimension whose size is known only at run time.

    Attributes:
        symbol: equal symbols stand for equal sizes.
        low, high: smallest and largest size the program works for (``high`` None: any).
    """

    symbol: str
    low: int = 0
    high: int | None = None


def shapes_by_argument(
    module: torch.nn.Module, dynamic_shapes: Any, kwargs: Mapping[str, Any], positional: int
) -> dict[str, Any] | None:
    """``dynamic_shapes`` as a dictionary over the arguments that were passed; None: all static.

    Errors: :class:`pith.ImportProgramError` for an argument ``forward`` does not have.
    """
    if dynamic_shapes is None:
        return None
    _require_container(dynamic_shapes, "dynamic_shapes")
    parameters = inspect.signature(module.forward).parameters.values()
    by_position = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:positional]
    if positional > len(by_position):
        by_position += [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    passed = [*by_position, *kwargs]
    if not isinstance(dynamic_shapes, Mapping):
        return {name: shape for name, shape in zip(passed, [*dynamic_shapes, *[None] * len(passed)])}
    for name in dynamic_shapes:
        if name not in passed:
            close = ", ".join(difflib.get_close_matches(str(name), passed) or passed)
            raise ImportProgramError(
                f"no argument {name!r} was passed; there are {close}", where=f"dynamic_shapes[{name!r}]"
            )
    variadic = {p.name for p in parameters if p.kind is p.VAR_POSITIONAL}
    found = {name: dynamic_shapes.get(name) for name in passed}
    return {name: tuple(s) if name in variadic and s is not None else s for name, s in found.items()}


def _require_container(shapes: Any, where: str) -> None:
    if not isinstance(shapes, Mapping | list | tuple):
        raise ArgumentError(
            f"expects a dictionary, a list or a tuple, got {type(shapes).__name__}",
            where=where,
            hint='per argument its dynamic dimensions: dynamic_shapes={"x": {0: "batch"}}',
        )


def export_dims(shapes: Any) -> Any:
    """``shapes`` with every string replaced by a dimension whose range torch infers from the model."""
    if isinstance(shapes, str):
        return torch.export.Dim.DYNAMIC
    if isinstance(shapes, Mapping):
        return {key: export_dims(value) for key, value in shapes.items()}
    if isinstance(shapes, (list, tuple)):
        return type(shapes)(export_dims(value) for value in shapes)
    return shapes


def require_dims(shapes: Any, ranks: Mapping[str, int]) -> None:
    """Refuse dimensions that an input does not have; torch would leave them out silently.

    Errors: :class:`pith.ImportProgramError`.
    """
    for name, rank in ranks.items():
        for d in _dims_of(shapes, name):
            if not 0 <= d < rank:
                raise ImportProgramError(
                    f"{name!r} has no dimension {d}, only {rank}, counted from 0", where=f"dynamic_shapes[{name!r}]"
                )


def dim_names(shapes: Any, name: str) -> dict[int, str]:
    """The strings that ``shapes`` gives to the dimensions of the input called ``name``.

    >>> dim_names({"x": {0: "batch"}, "pair": [None, ("batch", None)]}, "pair.1")
    {0: 'batch'}
    """
    return {d: dim for d, dim in _dims_of(shapes, name).items() if isinstance(dim, str)}


def _dims_of(shapes: Any, name: str) -> dict[int, Any]:
    """What ``shapes`` says of the dimensions of the input called ``name``."""
    for key in name.split("."):
        if isinstance(shapes, Mapping):
            shapes = next((value for k, value in shapes.items() if str(k) == key), None)
        elif isinstance(shapes, (list, tuple)) and key.isdigit() and int(key) < len(shapes):
            shapes = shapes[int(key)]
        else:
            return {}
    if shapes is not None:
        _require_container(shapes, f"dynamic_shapes[{name!r}]")
    return dict(shapes.items() if isinstance(shapes, Mapping) else enumerate(shapes or ()))


def dynamic_dims(exported: Exported, shape: Sequence[Any], names: Mapping[int, str]) -> dict[int, DynamicDim]:
    """What an exported program demands of the dynamic dimensions of an input of ``shape``.

    A lower bound of 2 is torch's assumption while tracing, and a demand only where an op needs it.
    """
    out = {}
    for d, size in enumerate(shape):
        if not isinstance(size, torch.SymInt):
            continue
        expr = size.node.expr
        if expr.is_number:  # torch found that the program works for this size only
            out[d] = DynamicDim(names.get(d, str(expr)), int(expr), int(expr))
            continue
        bounds = exported.program.range_constraints.get(expr)
        low = int(bounds.lower) if bounds is not None and bounds.lower > 2 else exported.smallest.get(expr, 0)
        high = int(bounds.upper) if bounds is not None and bounds.upper < 2**31 - 1 else None
        out[d] = DynamicDim(names.get(d, str(expr)), low, high)
    return out
