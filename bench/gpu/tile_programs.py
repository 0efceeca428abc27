"""What a GPU's tile database is measured with: the dense kernel and one per micro-tile, for a few problems."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

from .cases import Case

#: Rows and columns of the sparse operand and the dense one's free dimension: square, tall, few tokens.
EXTENTS = ((4096, 4096, 4096), (2048, 2048, 2048), (4096, 4096, 512))

#: Micro-tiles of the left operand; 0 is a whole dimension. Sixteen rows are what one tensor-core fragment has.
TILES = ((16, 1), (32, 1), (64, 1), (128, 1), (1, 32), (1, 64), (1, 0), (0, 1))

#: Covered sparsities that are measured.
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)

#: Element type that is measured.
ELEMENT = "f16"

#: Names of the jobs: one problem each.
TILE_JOBS = tuple("x".join(map(str, extents)) for extents in EXTENTS)


def extents_of(job: str) -> tuple[int, int, int]:
    """The problem of a job.

    >>> extents_of("4096x4096x512")
    (4096, 4096, 512)
    """
    rows, columns, free = map(int, job.split("x"))
    return rows, columns, free


def dense_case(extents: tuple[int, int, int]) -> Case:
    """The dense kernel of a problem, as a case."""
    rows, columns, free = extents
    return Case("tiles-dense", "dense", {"m": rows, "n": free, "k": columns, "element": ELEMENT})


def tile_case(extents: tuple[int, int, int], tile: tuple[int, int], empty: float) -> Case:
    """A micro-tile of a problem, as a case: detection and the product."""
    rows, columns, free = extents
    build = {"m": rows, "n": free, "k": columns, "element": ELEMENT}
    if 0 in tile:
        return Case(f"tiles-{tile}", "axis", {**build, "axis": "m" if tile[1] == 0 else "k"}, {"empty": empty})
    return Case(f"tiles-{tile}", "pit", {**build, "block": tile}, {"empty": empty})


def dense_tile_case(extents: tuple[int, int, int], tile: str) -> Case:
    """The dense kernel of a problem with one of the lowering's tiles, as a case."""
    case = dense_case(extents)
    return dataclasses.replace(case, build={**case.build, "tile": tile})


def tile_kernels(target: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """(name, its program) of every kernel the database needs; needs the compiler, whose menu of tiles is tried."""
    from pith.lowering.gpu.product.menu import MMA_MENU, WGMMA_MENU
    from pith.lowering.targets import CHIPS, parse_target

    from .programs import program

    groups = WGMMA_MENU if CHIPS[parse_target(target).chip].wgmma else ()
    menu = ["x".join(map(str, choice.numbers)) for choice in (*groups, *MMA_MENU)]
    for extents in EXTENTS:
        packed = [tile_case(extents, tile, 0.0) for tile in TILES]
        for case in (dense_case(extents), *packed, *(dense_tile_case(extents, tile) for tile in menu)):
            yield case.kernel, functools.partial(program, case.family, case.build)
