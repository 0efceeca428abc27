"""The layouts that SciPy and torch have names for, as formats, and back."""

from __future__ import annotations

import dataclasses
import functools

from ..errors import FormatError
from .format import Format


def bsc(rows: int, columns: int, width: int = 32) -> Format:
    """Compressed columns of dense ``rows x columns`` blocks (torch's BSC); an extent of one is no level.

    >>> print(bsc(4, 2))
    d1 floordiv 2 : dense, d0 floordiv 4 : compressed, d0 mod 4 : dense, d1 mod 2 : dense
    >>> bsc(1, 1) == Format.csc()
    True
    """
    fmt = Format.bsr(rows, columns, width)
    above = fmt.exprs[1], fmt.exprs[0]
    return dataclasses.replace(fmt, exprs=(*above, *fmt.exprs[2:]))


@functools.cache
def layout_of(fmt: Format) -> tuple[str, tuple[int, int]]:
    """Which layout a format is: (``csr``, ``csc``, ``coo``, ``bsr``, ``bsc`` or ``dia``; block size).

    Bands count as ``dia``: SciPy has no layout of their own.

    Errors: :class:`pith.FormatError` when it is none of them.

    >>> layout_of(Format.bsr(4, 2)), layout_of(bsc(4, 1))
    (('bsr', (4, 2)), ('bsc', (4, 1)))
    """
    width = fmt.pos_width or 64
    rows, columns = (next((e.mod for e in fmt.exprs[2:] if e.dim == d), 1) for d in (0, 1))
    block = (rows, columns)
    candidates = {"coo": Format.coo(fmt.rank, width)}
    if fmt.rank == 2:
        candidates |= {"csr": Format.csr(width), "csc": Format.csc(width), "dia": Format.dia(width)}
        candidates |= {"bsr": Format.bsr(*block, width), "bsc": bsc(*block, width)}
    plain = fmt.with_widths(pos=width, crd=fmt.crd_width or 64, nm=0)
    for name, candidate in candidates.items():
        if width >= 32 and plain == candidate:
            return name, block
    if fmt.levels[-1].kind == "band" and fmt == Format.banded(fmt.levels[-1].lower, fmt.levels[-1].upper):
        return "dia", block
    raise FormatError(
        f"SciPy and torch have no layout for format {fmt} with {width}-bit positions",
        hint="convert first: A.to(pith.CSR), or A.to_dense()",
    )


def is_transposed_layout(fmt: Format) -> bool:
    """True for what is no layout, but whose transposed format is one: columns of COO, blocks stored by columns.

    >>> is_transposed_layout(Format.coo().transposed()), is_transposed_layout(Format.csc())
    (True, False)
    """
    return not _is_layout(fmt) and _is_layout(fmt.transposed())


@functools.cache
def _is_layout(fmt: Format) -> bool:
    try:
        layout_of(fmt)
    except FormatError:
        return False
    return True
