"""Strips of a compressed level: contracted coordinates that the rows of a chunk pass over at once. Needs no MLIR."""

from __future__ import annotations

import dataclasses

from ..isa import Isa
from .roles import Roles
from .variant import Variant

#: Lengths of strips of a compressed level: few, so that kernels serve many densities. In GF/s of CSR on one core of
#: Emerald Rapids (48 KiB of L1; 2026-11): 50 % stored, 64 columns a panel, strips of 96, 128, 160, 192, none: 71, 74,
#: 76, 73, 55; 128 columns, 96, none: 85, 52; 32 columns, 256, 320, 512, none: 51, 53, 48, 40.
STRIPS = (96, 160, 256)

#: Bytes of panel rows that a row of results meets in a strip at least, for coming from and going to memory. Zen 3, 64
#: columns, 2026-11: CSR at 50, 70, 80 % gains 1.45x, 1.3x, 1.1x from strips of 96, 96 and 256; at 95 % every strip
#: loses. With 32 columns, 50 and 70 % gain 1.0x and 0.8x from strips of 96, 1.2x and 1.15x from strips of 256.
#: Emerald Rapids, times with strips of 256 over those without, at 50, 70, 80, 90 %: 64 columns 0.79, 0.82, 0.92, 1.02;
#: 32: 0.72, 0.80, 0.94, 1.23; 16: 0.89, 1.03, 1.27, 1.77; 8: 0.94, 1.13, 1.32, 2.0 (2048x2048, 2026-11).
_MET_BYTES = 6 << 10

#: Least density of a row that strips are tried for: below, the panel may as well come from L2.
_LEAST_DENSITY = 3 / 32


def strip_of(roles: Roles, density: float, width: int, isa: Isa) -> int:
    """Contracted coordinates per strip of a compressed second level, for a panel of ``width`` bytes; 0: all in one.

    The longest strip that L1 holds, or the longest of all, where rows meet enough in it.

    >>> from pith.formats import Format
    >>> from pith.lowering.isa import ISAS
    >>> csr, isa = Roles.of(Format.csr(), 0), ISAS["avx2"]
    >>> [strip_of(csr, density, 256, isa) for density in (0.5, 0.3, 0.2, 0.05)]
    [96, 96, 256, 0]
    >>> [strip_of(csr, density, 64, isa) for density in (0.5, 0.3)]
    [256, 0]
    """
    if not roles.has_cursors or density < _LEAST_DENSITY:
        return 0
    near = max((strip for strip in STRIPS if strip * width <= isa.l1_bytes), default=STRIPS[0])
    return next((strip for strip in (near, STRIPS[-1]) if strip * density * width >= _MET_BYTES), 0)


def in_strips(variant: Variant, roles: Roles, density: float | None, element_bytes: int, isa: Isa) -> Variant:
    """The same register tile, with the strips that suit it where the share of stored elements is known.

    >>> from pith.formats import Format
    >>> from pith.lowering.isa import ISAS
    >>> str(in_strips(Variant(64, 1), Roles.of(Format.csr(), 0), 0.5, 4, ISAS["avx2"]))
    'lanes=64,rows=1,strip=96'
    """
    strip = 0 if density is None else strip_of(roles, density, variant.lanes * element_bytes, isa)
    return dataclasses.replace(variant, strip=strip) if strip else variant
