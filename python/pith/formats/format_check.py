"""When a format is legal."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ..errors import FormatError

if TYPE_CHECKING:
    from .format import Format


def check_format(fmt: Format) -> None:
    """Raise :class:`FormatError` unless ``fmt`` is a legal format."""
    if len(fmt.exprs) != len(fmt.levels) or not fmt.levels:
        raise FormatError(f"format expects one level per map result, got {len(fmt.levels)} for {len(fmt.exprs)}")
    for name, width in (("posWidth", fmt.pos_width), ("crdWidth", fmt.crd_width)):
        if width not in (0, 8, 16, 32, 64):
            raise FormatError(f"{name} expects 0, 8, 16, 32 or 64, got {width}")
    if fmt.nm_width not in (0, 1, 2, 4, 8, 16, 32, 64):
        raise FormatError(f"nmWidth expects 0, 1, 2, 4, 8, 16, 32 or 64, got {fmt.nm_width}")
    for i, (e, level) in enumerate(zip(fmt.exprs, fmt.levels)):
        for dim in (e.dim,) if e.minus is None else (e.dim, e.minus):
            if not 0 <= dim < fmt.rank:
                raise FormatError(f"level {i} uses dimension d{dim} of a rank-{fmt.rank} tensor")
        if e.div < 1 or e.mod < 0:
            raise FormatError(f"level {i} has expression {e}; expects positive constants")
        if level.kind == "nm" and e.mod != level.h:
            raise FormatError(
                f"level {i} is nm({level.g}:{level.h}) but its expression {e} has "
                + (f"{e.mod} coordinates" if e.mod else "no fixed size"),
                hint=f"use (d{e.dim} floordiv c) mod {level.h}",
            )
        if level.kind == "nm" and fmt.nm_width and 2**fmt.nm_width < level.h:
            raise FormatError(f"nmWidth {fmt.nm_width} cannot hold coordinates of nm({level.g}:{level.h})")
        above = fmt.levels[i - 1].kind if i else None
        if level.kind == "singleton" and above not in ("compressed", "loose_compressed", "singleton"):
            raise FormatError(f"level {i} is singleton; the level above must be compressed or singleton, got {above}")
    diagonals = [i for i, e in enumerate(fmt.exprs) if e.minus is not None]
    if diagonals:
        _check_diagonals(fmt, diagonals)
    elif bands := [level for level in fmt.levels if level.kind == "band"]:
        raise FormatError(
            f"level {bands[0]} has no diagonals", hint="its expression is a difference: d1 - d0 : band(1:1)"
        )
    for d in range(fmt.rank):
        if not any(fmt.exprs[i].dim == d for i in diagonals):
            _check_dim_partition(fmt, d)


def _check_diagonals(fmt: Format, at: list[int]) -> None:
    """One level of diagonals in a matrix; the digits of the other dimension, outermost first, and nothing else."""
    e, level = fmt.exprs[at[0]], fmt.levels[at[0]]
    if len(at) > 1 or fmt.rank != 2 or {e.dim, e.minus} != {0, 1} or (e.div, e.mod) != (1, 0):
        raise FormatError(
            f"format has the level {e} : {level}; expects one level of the diagonals of a matrix, d1 - d0"
        )
    if level.kind not in ("band", "compressed") or not (level.unique and level.ordered):
        raise FormatError(f"diagonals {e} cannot be {level}", hint="band(lower:upper), or compressed")
    digits = [i for i in range(len(fmt.exprs)) if i != at[0]]
    if any(fmt.exprs[i].dim == e.dim for i in digits):
        raise FormatError(f"dimension d{e.dim} follows from {e} and d{e.minus}, and has a level of its own")
    if any(fmt.levels[i].kind != "dense" for i in digits):
        raise FormatError(f"beside diagonals {e} every level is dense", hint="a band of an N:M matrix: store it as N:M")
    if any(fmt.exprs[i].div <= fmt.exprs[j].div for i, j in itertools.pairwise(digits)):
        raise FormatError(f"beside diagonals {e} the digits of d{e.minus} stand outermost first")


def _check_dim_partition(fmt: Format, dim: int) -> None:
    """The expressions of a dimension must cut it into consecutive digits, each used once."""
    parts = sorted((e for e in fmt.exprs if e.dim == dim), key=lambda e: (-e.div, e.mod == 1))
    if not parts:
        raise FormatError(f"dimension d{dim} is stored by no level")
    if parts[0].mod:
        raise FormatError(f"dimension d{dim}: its outermost level {parts[0]} must not have a mod")
    for outer, inner in itertools.pairwise(parts):
        if not inner.mod or inner.div * inner.mod != outer.div:
            raise FormatError(
                f"dimension d{dim}: levels {outer} and {inner} do not cut it into consecutive digits",
                hint=f"below {outer} expects an expression with div * mod = {outer.div}",
            )
    if parts[-1].div != 1:
        raise FormatError(f"dimension d{dim}: its innermost level {parts[-1]} must reach single elements")
