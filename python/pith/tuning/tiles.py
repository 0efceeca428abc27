"""The tile database: measured times of dynamic products by micro-tile and covered sparsity, and what they decide.

One file per processor below ``data/``, written by ``pith bench --tiles``. Dense is always a candidate.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence

from pith.lowering.isa import host_isa
from pith.passes.analysis.tile_cost import Candidate, Decision, Tile, covered_sparsity, decide
from pith.passes.analysis.tile_tables import (
    IN_PLACE,
    LIBRARY,
    OWN,
    PACKED,
    SUFFIX,
    Measured,
    TileTable,
    read_tables,
    usual_dense,
    write_tables,
)

from ..errors import Error
from ..runtime.cpu import cpu_class, unlikeness

__all__ = [
    "IN_PLACE",
    "LIBRARY",
    "OWN",
    "PACKED",
    "Measured",
    "TileTable",
    "decide_tiles",
    "expected_coverage",
    "forget_tables",
    "known_tables",
    "name_of",
    "own_path",
    "read_tables",
    "table_for",
    "tile_of",
    "usual_dense",
    "write_tables",
]

#: Dense has to be beaten by so much before anything is detected: what predictions are off by.
DENSE_GAIN = 1.05

#: By so much more per factor of two that more is contracted than was measured: what panels fit into there they do not
#: fit into here. 256 rows, 1024 columns, 70 % of single elements empty: 0.86, 0.97 and 1.13 of dense with 1024 (as it
#: was measured), 2048 and 4096 contracted (f32, Zen 3, one thread, 2026-11-22).
DEEPER_GAIN = 1.15


#: Micro-tiles that cover the same share but for this, and are predicted to take the same time but for that factor,
#: differ in how many there are to list. 1024^3 f32 with 1 % of the rows takes 1.17 ms as rows, 1.71 as 1x32; with 1 and
#: 5 % of the 32x1 1.25 and 2.47 ms as such, 1.43 and 2.97 as 8x1 (Zen 3, one thread, 2026-11-22).
COVERAGE_NOISE, ALIKE = 0.002, 1.15


def decide_tiles(
    table: TileTable, extents: Sequence[float], coverage: Mapping[Tile, float], elements: float
) -> Decision:
    """The candidates of a problem by measured time, scaled to its size; dense first where nothing gains 5 %, or more
    where more is contracted than was measured.

    Args:
        coverage: share of empty micro-tiles, per micro-tile that may be taken.
        elements: share of single elements that are zero, for the wasted work.
    """
    nearest = table.nearest(extents)
    scale = math.prod(extents) / math.prod(nearest.table.extents)
    dense = Candidate("dense", nearest.table.dense * scale, wasted=elements, way=table.dense_way(nearest))
    packed = []
    for tile, covered in coverage.items():
        if tile in nearest.table.rows:
            seconds = nearest.table.latency(tile, covered) * scale
            wasted = 1.0 - (1.0 - elements) / (1.0 - covered) if covered < 1.0 else 0.0
            way = nearest.way(tile, covered)
            packed.append(Candidate(name_of(tile), seconds, covered, micro_tile=tile, wasted=max(wasted, 0.0), way=way))
    decision = _coarsest(decide([dense, *packed]))
    if decision.chosen.cost * _gain(table, nearest, extents) > dense.cost:
        return Decision((dense, *(c for c in decision.candidates if c is not dense)))
    return decision


def _coarsest(decision: Decision) -> Decision:
    """The largest micro-tile first that covers what the chosen one does, and is predicted to take about as long."""
    chosen = decision.chosen
    alike = [
        c
        for c in decision.candidates
        if _contains(c.micro_tile, chosen.micro_tile)
        and c.covered >= chosen.covered - COVERAGE_NOISE
        and c.cost <= chosen.cost * ALIKE
    ]
    best = next((c for c in alike if all(_contains(c.micro_tile, other.micro_tile) for other in alike)), chosen)
    return Decision((best, *(c for c in decision.candidates if c is not best)))


def _contains(large: Tile, small: Tile) -> bool:
    """Whether a micro-tile is made of whole others.

    >>> _contains((1, 0), (1, 32)), _contains((32, 1), (8, 1)), _contains((1, 32), (8, 1)), _contains((), (8, 1))
    (True, True, False, False)
    """
    return len(large) == len(small) and all(n == 0 or (m and n % m == 0) for n, m in zip(large, small))


def _gain(table: TileTable, nearest: Measured, extents: Sequence[float]) -> float:
    """By how much dense has to be beaten."""
    contracted = 1 if table.side == "left" else 0
    octaves = math.log2(max(extents[contracted], 1) / nearest.table.extents[contracted])
    return DENSE_GAIN * DEEPER_GAIN ** max(octaves, 0.0)


def name_of(tile: Tile) -> str:
    """``8x1`` of ``(8, 1)``, ``rows`` of ``(1, 0)``, ``columns`` of ``(0, 1)``."""
    return "rows" if tile == (1, 0) else "columns" if tile == (0, 1) else "x".join(map(str, tile))


def tile_of(name: str) -> Tile | None:
    """The inverse of :func:`name_of`; None for what names no micro-tile.

    >>> tile_of("8x1"), tile_of("rows"), tile_of("x1")
    ((8, 1), (1, 0), None)
    """
    named = {"rows": (1, 0), "columns": (0, 1)}.get(name)
    parts = name.split("x")
    if named or len(parts) != 2 or not all(p.isdecimal() and int(p) for p in parts):
        return named
    return int(parts[0]), int(parts[1])


def expected_coverage(sparsity: float, block: Tile, tiles: Iterable[Tile], shape: Sequence[int]) -> dict[Tile, float]:
    """Share of empty micro-tiles in closed form, when blocks are empty independently; 0: a whole dimension.

    Example:
        >>> expected_coverage(0.9, (32, 1), [(8, 1), (1, 2)], (64, 64)) == {(8, 1): 0.9, (1, 2): 0.9**2}
        True
    """
    whole = [extent or n for extent, n in zip(block, shape)]
    return {t: covered_sparsity(sparsity, [e or n for e, n in zip(t, shape)], whole) for t in tiles}


@functools.cache
def table_for(
    element: str, side: str, threads: int, cpu: str | None = None, isa: str | None = None
) -> TileTable | None:
    """The table for a problem on a processor (default: this one); None for an element type nobody measured.

    Semantics: the user's own before shipped ones; the nearest number of threads. A processor nobody measured gets
        the table of its microarchitecture, else of its instruction set, else of another one: ratios to dense carry over
        better than times.
    """
    cpu, isa = cpu or cpu_class(), isa or host_isa().name
    fitting = [t for t in known_tables() if not t.is_gpu and (t.element, t.side) == (element, side)]
    if not fitting:
        return None

    def far(t: TileTable) -> int:
        return unlikeness(t.cpu, cpu) + (2 if t.isa != isa else 0)

    best = min(fitting, key=lambda t: (far(t), abs(t.threads - threads), t.origin != "own"))
    return best if far(best) <= 1 else dataclasses.replace(best, origin="foreign")


@functools.cache
def known_tables() -> tuple[TileTable, ...]:
    """All tables there are, the user's first; a file that cannot be read is warned of and left out."""
    found: list[TileTable] = []
    path = own_path()
    if path.exists():
        try:
            found += read_tables(path.read_text(), str(path), "own")
        except (OSError, UnicodeDecodeError, Error) as e:
            warnings.warn(f"pith ignores your tile database: {e}", RuntimeWarning, stacklevel=2)
    for file in sorted(pathlib.Path(__file__).with_name("data").glob(f"*{SUFFIX}")):
        found += read_tables(file.read_text(), file.name, "shipped")
    return tuple(found)


def own_path() -> pathlib.Path:
    """Where the user's tile database lies: beside the calibration."""
    from .database import own_path as calibration

    return calibration().with_name("tiles.json")


def forget_tables() -> None:
    """Read the files anew when next asked."""
    known_tables.cache_clear()
    table_for.cache_clear()
