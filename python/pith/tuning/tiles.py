"""The tile database: measured times of dynamic products by micro-tile and covered sparsity, and what they decide.

One file per processor below ``data/``, written by ``pith bench --tiles``. Dense is always a candidate.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pith.lowering.isa import host_isa
from pith.passes.analysis.tile_cost import Candidate, Decision, LatencyTable, Tile, covered_sparsity, decide

from ..errors import Error, FileFormatError
from ..runtime.cpu import cpu_class

#: Of the file.
VERSION = 1

#: Names of files in the package, and of the user's own.
SUFFIX = ".tiles.json"

#: Ways to run a micro-tile: packed into a format, or gathered in place by a pit_tile.
PACKED, IN_PLACE = "packed", "in place"

#: Dense has to be beaten by so much before anything is detected: what predictions are off by.
DENSE_GAIN = 1.05


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """One measured problem.

    Attributes:
        table: seconds by micro-tile (0: a whole dimension) and covered sparsity; extents are rows and columns of
            the sparse operand, then the free dimension of the dense one.
        ways: micro-tile -> the fastest way per covered sparsity.
    """

    table: LatencyTable
    ways: Mapping[Tile, tuple[str, ...]]

    def way(self, tile: Tile, covered: float) -> str:
        """The fastest way at the nearest measured sparsity."""
        at = min(range(len(self.table.sparsities)), key=lambda i: abs(self.table.sparsities[i] - covered))
        return self.ways[tile][at]


@dataclasses.dataclass(frozen=True, eq=False)
class TileTable:
    """What was measured on one processor, for one element type and side of the sparse operand.

    Attributes:
        cpu, isa, threads: as of :class:`~pith.tuning.database.Calibration`.
        element: element type.
        side: of the sparse operand, ``left`` or ``right``.
        measured: problems.
        origin: ``own``, ``shipped``, or ``foreign``: of another processor.
        facts: when and with what.
    """

    cpu: str
    isa: str
    threads: int
    element: str
    side: str
    measured: tuple[Measured, ...]
    origin: str = "own"
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def nearest(self, extents: Sequence[float]) -> Measured:
        """The measured problem whose sizes are nearest, in factors of two."""
        return _nearest(self, tuple(extents))

    def describe(self) -> str:
        """One line: where the numbers come from."""
        whose = {"own": "measured here", "shipped": "shipped with pith"}.get(self.origin, "another processor's")
        return f"{self.cpu}, {self.isa}, {self.threads} thread{'s' if self.threads > 1 else ''}, {whose}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        fields = {n: getattr(self, n) for n in ("cpu", "isa", "threads", "element", "side")}
        return {**fields, "facts": dict(self.facts), "measured": [_measured_json(m) for m in self.measured]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: str) -> TileTable:
        """Inverse of :meth:`to_json`."""
        measured = tuple(_measured_from(entry) for entry in data["measured"])
        fields = {n: data[n] for n in ("cpu", "isa", "threads", "element", "side")}
        return cls(**fields, measured=measured, origin=origin, facts=data.get("facts", {}))


@functools.lru_cache(maxsize=4096)
def _nearest(table: TileTable, extents: tuple[float, ...]) -> Measured:
    def distance(m: Measured) -> float:
        return sum(abs(math.log2(max(a, 1) / b)) for a, b in zip(extents, m.table.extents))

    return min(table.measured, key=distance)


def decide_tiles(
    table: TileTable, extents: Sequence[float], coverage: Mapping[Tile, float], elements: float
) -> Decision:
    """The candidates of a problem by measured time, scaled to its size; dense first where nothing gains 5 %.

    Args:
        coverage: share of empty micro-tiles, per micro-tile that may be taken.
        elements: share of single elements that are zero, for the wasted work.
    """
    nearest = table.nearest(extents)
    scale = math.prod(extents) / math.prod(nearest.table.extents)
    dense = Candidate("dense", nearest.table.dense * scale, wasted=elements)
    packed = []
    for tile, covered in coverage.items():
        if tile in nearest.table.rows:
            seconds = nearest.table.latency(tile, covered) * scale
            wasted = 1.0 - (1.0 - elements) / (1.0 - covered) if covered < 1.0 else 0.0
            way = nearest.way(tile, covered)
            packed.append(Candidate(name_of(tile), seconds, covered, micro_tile=tile, wasted=max(wasted, 0.0), way=way))
    decision = decide([dense, *packed])
    if decision.chosen.cost * DENSE_GAIN > dense.cost:
        return Decision((dense, *(c for c in decision.candidates if c is not dense)))
    return decision


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
        the table of another one: ratios to dense carry over better than times.
    """
    cpu, isa = cpu or cpu_class(), isa or host_isa().name
    fitting = [t for t in known_tables() if (t.element, t.side) == (element, side)]
    if not fitting:
        return None
    best = min(fitting, key=lambda t: ((t.cpu, t.isa) != (cpu, isa), abs(t.threads - threads), t.origin != "own"))
    return best if (best.cpu, best.isa) == (cpu, isa) else dataclasses.replace(best, origin="foreign")


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


def read_tables(text: str, where: str, origin: str) -> list[TileTable]:
    """The tables in a file's text. Errors: :class:`pith.FileFormatError`."""
    hint = "remove it, or write a new one: pith bench --tiles"
    try:
        data = json.loads(text)
        if data["version"] != VERSION:
            raise FileFormatError(f"is of version {data['version']}, pith reads {VERSION}", where=where, hint=hint)
        return [TileTable.from_json(entry, origin) for entry in data["tables"]]
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        if isinstance(e, FileFormatError):
            raise
        raise FileFormatError(f"is not a tile database: {e!r}", where=where, hint=hint) from e


def write_tables(path: pathlib.Path, tables: Sequence[TileTable]) -> None:
    """Write a file whole or not at all. Errors: those of the operating system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    entries = ",\n".join(json.dumps(t.to_json(), separators=(",", ":")) for t in tables)
    try:
        aside.write_text(f'{{"version":{VERSION},"tables":[\n{entries}\n]}}\n')
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def forget_tables() -> None:
    """Read the files anew when next asked."""
    known_tables.cache_clear()
    table_for.cache_clear()


def _measured_json(m: Measured) -> dict[str, Any]:
    def text(tile: Tile) -> str:
        return "x".join(map(str, tile))

    return {
        "extents": m.table.extents,
        "dense": float(f"{m.table.dense:.4g}"),
        "sparsities": m.table.sparsities,
        "rows": {text(t): [None if v is None else float(f"{v:.4g}") for v in row] for t, row in m.table.rows.items()},
        "ways": {text(t): "".join(w[0] for w in ways) for t, ways in m.ways.items()},
    }


def _measured_from(data: Mapping[str, Any]) -> Measured:
    rows = {_tile(k): tuple(v) for k, v in data["rows"].items()}
    letters = {PACKED[0]: PACKED, IN_PLACE[0]: IN_PLACE}
    ways = {_tile(k): tuple(letters[c] for c in v) for k, v in data["ways"].items()}
    return Measured(LatencyTable(tuple(data["sparsities"]), rows, float(data["dense"]), tuple(data["extents"])), ways)


def _tile(text: str) -> Tile:
    return tuple(map(int, text.split("x")))
