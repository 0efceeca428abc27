"""When ranks make a legal format."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from typing import TYPE_CHECKING

from ..errors import FormatError

if TYPE_CHECKING:
    from .hss import HSS


def check_hss(hss: HSS) -> None:
    """Raise :class:`FormatError`, which names the rank, unless ``hss`` is a legal format."""
    if not hss.ranks:
        raise FormatError("an HSS format expects at least one rank", hint="e.g. C0(2:4)")
    for name, rank in zip(_names(hss), hss.ranks):
        rank.check(name)
    _check_dims(hss)
    _check_numbers(hss)
    _check_open_ranks(hss)
    _check_sharing(hss)


def _names(hss: HSS) -> list[str]:
    return [f"{r.dim}{n}" for r, n in zip(hss.ranks, hss.numbers)]


def _check_dims(hss: HSS) -> None:
    """Every letter is a dimension of its own; flattened ones adjoin and do not overlap."""
    if len(set(hss.dims)) != len(hss.dims) or not re.fullmatch("[AC-UW-Z]+", hss.dims):
        raise FormatError(f"expects distinct capital letters other than B and V as dimensions, got {hss.dims!r}")
    used: dict[str, str] = {}
    for rank in hss.ranks:
        for letter in rank.dim:
            if letter not in hss.dims:
                raise FormatError(
                    f"rank {rank} runs over {letter}, the tensor has the dimensions {', '.join(hss.dims)}",
                    hint="name its dimensions in front, e.g. 'MCRS: RS->C1->C0(2:4)'",
                )
            if used.setdefault(letter, rank.dim) != rank.dim:
                raise FormatError(
                    f"ranks over {used[letter]} and over {rank.dim} overlap in dimension {letter}",
                    hint="flatten a dimension in all of its ranks or in none: e.g. 'MCRS: CRS1->CRS0(2:4)'",
                )
        if rank.dim not in hss.dims:
            raise FormatError(
                f"rank {rank} flattens {', '.join(rank.dim)}, which do not adjoin in that order in {hss.dims}",
                hint="only adjoining dimensions can be flattened without moving data",
            )


def _check_numbers(hss: HSS) -> None:
    """Every digit of a dimension has a rank of its own."""
    for rank in hss.ranks:
        mine = [n for n, r in zip(hss.numbers, hss.ranks) if r.dim == rank.dim]
        if sorted(mine) != list(range(len(mine))):
            expected = " and ".join(f"{rank.dim}{n}" for n in reversed(range(len(mine))))
            raise FormatError(
                f"ranks of {rank.dim} should be {expected}, got " + " and ".join(f"{rank.dim}{n}" for n in mine),
                hint="ranks are numbered from the inside out, and written in the order they are stored",
            )


def _check_open_ranks(hss: HSS) -> None:
    """Only the outermost rank of a dimension may lack a size."""
    for number, rank in zip(hss.numbers, hss.ranks):
        if rank.is_open and number + 1 < sum(r.dim == rank.dim for r in hss.ranks):
            raise FormatError(
                f"rank {rank.dim}{number} has no size, but is split off {rank.dim}{number + 1}",
                hint=f"write its size, e.g. {dataclasses.replace(rank, h=8).text(str(number))}",
            )


def _check_sharing(hss: HSS) -> None:
    *outer, last = hss.ranks
    for name, rank in zip(_names(hss), outer):
        if rank.block != (1, 1):
            raise FormatError(f"rank {name}: B is allowed on the last rank only", hint="share rows with V(h) instead")
    if last.block[0] > 1 and ("M" not in hss.storage_dims or last.dim == "M"):
        raise FormatError(f"rank {last}: B has rows of M in it, so it goes before a rank of another dimension")
    if any(r.v != 1 for r in hss.ranks):
        if "M" not in hss.storage_dims:
            raise FormatError("V shares a choice among rows, and the format has no dimension M")
        if any(r.dim == "M" for r in hss.ranks):
            raise FormatError("V is short for ranks of M and does not go with them", hint="write one or the other")
    shares = [r.v for r in hss.ranks]
    shares[-1] = math.lcm(shares[-1], last.block[0])
    for above, below in itertools.pairwise(shares):
        if above != 1 and above % below:
            raise FormatError(
                f"row sharing V({above}) of an outer rank must be a multiple of the inner rank's {below}",
                hint="rows that share an inner choice must share all outer choices",
            )
