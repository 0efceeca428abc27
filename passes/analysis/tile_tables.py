"""The tile database: measured times by micro-tile and covered sparsity, as data.

One file per processor. Those of CPUs lie with :mod:`pith.tuning`, which chooses by them per call; those of GPUs lie in
``data/`` here, where ``pith-select-tiles`` finds them. Both are read and written by these functions.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from pith.errors import FileFormatError
from pith.files import write_whole

from .tile_cost import Candidate, Decision, LatencyTable, Tile, decide, tile_name
from .workload import Workload

#: Of the file.
VERSION = 1

#: Names of files.
SUFFIX = ".tiles.json"

#: Ways to run a micro-tile: packed into a format, or gathered in place by a pit_tile.
PACKED, IN_PLACE = "packed", "in place"

#: Ways to run a dense product on a CPU: by the library (torch's product, or NumPy's), or by pith's own kernel.
LIBRARY, OWN = "library", "own kernel"


def usual_dense(element: str) -> str:
    """The way to multiply densely where nobody measured: narrow types by pith's own kernel.

    It widens operands once, while it packs them. Libraries have instructions for them or are slow: on a Zen 3 core
    torch's product of 1024x1024x512 takes 4.1 s in bf16 and 2.3 s in f16, pith's 15 ms, f32 14 ms (2026-11-22).

    >>> usual_dense("f32"), usual_dense("bf16")
    ('library', 'own kernel')
    """
    return LIBRARY if element in ("f32", "f64") else OWN


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """One measured problem.

    Attributes:
        table: seconds by micro-tile (0: a whole dimension) and covered sparsity; extents are rows and columns of
            the sparse operand, then the free dimension of the dense one.
        ways: micro-tile -> the fastest way per covered sparsity.
        dense_tiles: seconds of the dense kernel by its tile, where a GPU has several: ``(m, n, bytes along k, warps
            down, warps across, stages)``.
        dense_way: what takes ``table.dense`` on a CPU: the faster one.
    """

    table: LatencyTable
    ways: Mapping[Tile, tuple[str, ...]]
    dense_tiles: Mapping[Tile, float] = dataclasses.field(default_factory=dict)
    dense_way: str = LIBRARY

    def way(self, tile: Tile, covered: float) -> str:
        """The fastest way at the nearest measured sparsity."""
        at = min(range(len(self.table.sparsities)), key=lambda i: abs(self.table.sparsities[i] - covered))
        return self.ways[tile][at]


@dataclasses.dataclass(frozen=True, eq=False)
class TileTable:
    """What was measured on one processor, for one element type and side of the sparse operand.

    Attributes:
        cpu: the processor; of a GPU its name as the driver tells it.
        isa: what the kernels were compiled for: an instruction set, or an architecture such as ``sm_90``.
        threads: of the kernels; of a GPU its multiprocessors.
        element: element type.
        side: of the sparse operand, ``left`` or ``right``.
        measured: problems.
        origin: ``own``, ``shipped``, or ``foreign``: of another processor.
        facts: when and with what; of a GPU its driver and clocks.
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

    def dense_way(self, measured: Measured) -> str:
        """How a dense product is run: of other processors than those that were measured only the library is known."""
        return usual_dense(self.element) if self.origin == "foreign" else measured.dense_way

    @property
    def is_gpu(self) -> bool:
        """Whether a GPU was measured."""
        return self.isa.startswith("sm_")

    def describe(self) -> str:
        """One line: where the numbers come from."""
        whose = {"own": "measured here", "shipped": "shipped with pith"}.get(self.origin, "another processor's")
        unit = "multiprocessor" if self.is_gpu else "thread"
        return f"{self.cpu}, {self.isa}, {self.threads} {unit}{'s' if self.threads > 1 else ''}, {whose}"

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
    entries = ",\n".join(json.dumps(t.to_json(), separators=(",", ":")) for t in tables)
    write_whole(path, f'{{"version":{VERSION},"tables":[\n{entries}\n]}}\n')


@functools.cache
def gpu_tables() -> tuple[TileTable, ...]:
    """The GPUs' tables that come with pith; there are none until a GPU has run the script that measures them."""
    files = sorted(pathlib.Path(__file__).with_name("data").glob(f"*{SUFFIX}"))
    return tuple(table for file in files for table in read_tables(file.read_text(), file.name, "shipped"))


def dense_tiles(
    tables: Sequence[TileTable], target: str, element_bytes: int, extents: Sequence[int]
) -> Mapping[Tile, float]:
    """Seconds of the dense kernel by its tile for a product of about ``extents``; none where none was measured.

    Args:
        extents: rows, what is contracted, columns. Tiles are ranked by a problem of at most four times, at least a
            quarter of every one of them: further away other tiles fill the chip.
    """
    names, elements = (target, target.rstrip("a")), _ELEMENTS.get(element_bytes, ())
    found = [m for t in tables if t.isa in names and t.element in elements for m in t.measured if m.dense_tiles]

    def distance(m: Measured) -> float:
        return max(abs(math.log2(max(a, 1) / b)) for a, b in zip(extents, m.table.extents))

    nearest = min(found, key=distance, default=None)
    return nearest.dense_tiles if nearest is not None and distance(nearest) <= 2.0 else {}


@dataclasses.dataclass(frozen=True)
class Times:
    """Where measured times of an op come from.

    Attributes:
        single: one table for every op, or None.
        database: else the tables that an op's element type and sides choose from.
    """

    single: LatencyTable | None = None
    database: tuple[TileTable, ...] = ()

    @classmethod
    def shipped(cls, target: str) -> Times:
        """What comes with pith for a GPU; nothing for ``cpu``, whose times are looked up per call."""
        return cls(database=gpu_tables() if target.startswith("sm_") else ())

    @classmethod
    def load(cls, path: str) -> Times:
        """From a file: a latency table or a tile database. Errors: :class:`pith.FileFormatError`."""
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8")
            whole = "tables" in json.loads(text)
        except (OSError, ValueError) as error:
            raise FileFormatError(f"not a latency table: {error}", where=path) from error
        return cls(database=tuple(read_tables(text, path, "own"))) if whole else cls(LatencyTable.load(path))

    def table(self, work: Workload, target: str) -> LatencyTable | None:
        """The times that speak of an op on a target, or None.

        A database knows products of two matrices: it is asked for the sparse one's side and element type, and for the
        measured problem of the nearest size.
        """
        dims = work.operands[work.sparse_operand]
        if self.single is not None or len(work.extents) != 3 or len(work.operands) != 3 or len(dims) != 2:
            return self.single
        side, names = ("left", "right")[work.sparse_operand], (target, target.rstrip("a"))
        elements = _ELEMENTS.get(work.element_bytes[0], ())
        fitting = (t for t in self.database if t.isa in names and t.side == side and t.element in elements)
        found = next(fitting, None)
        if found is None:
            return None
        rows, columns = (1 if d is None else work.extents[d] for d in dims)
        return found.nearest((rows, columns, math.prod(work.extents) / (rows * columns))).table


def decide_by_table(table: LatencyTable, work: Workload, packable: Sequence[int]) -> Decision:
    """Choose among dense and the table's rows.

    Args:
        packable: axes that may be packed; a row's micro-tile packs the one along which it is 1 long.
    """
    scale = math.prod(work.extents) / math.prod(table.extents) if table.extents else 1.0
    dims = work.operands[work.sparse_operand]
    candidates = [Candidate("dense", table.dense * scale)]
    for micro in rows_for(table, work):
        for at, axis in enumerate(dims):
            if axis not in packable or micro[at] != 1:
                continue
            tile = [32 if d == axis else 64 for d in range(len(work.extents))]
            for d, extent in zip(dims, micro):
                if d is not None and d != axis and extent:
                    tile[d] = extent
            covered = work.covered(micro)
            cost = table.latency(micro, covered) * scale
            candidates.append(Candidate(f"d{axis}:{tile_name(micro)}", cost, covered, axis, micro, tuple(tile)))
    return decide(candidates)


def rows_for(table: LatencyTable, work: Workload) -> list[tuple[int, ...]]:
    """The micro-tiles of a table that are whole (0) along the dimensions the workload does not cut, and only there."""
    return [
        m for m in table.rows if len(m) == len(work.block) and all(bool(e) == bool(b) for e, b in zip(m, work.block))
    ]


#: Element types by bytes: bf16 takes as long as f16.
_ELEMENTS = {1: ("i8",), 2: ("f16", "bf16"), 4: ("f32",), 8: ("f64",)}


def _measured_json(m: Measured) -> dict[str, Any]:
    def text(tile: Tile) -> str:
        return "x".join(map(str, tile))

    tiles = {text(tile): float(f"{seconds:.4g}") for tile, seconds in m.dense_tiles.items()}
    return {
        "extents": m.table.extents,
        "dense": float(f"{m.table.dense:.4g}"),
        "sparsities": m.table.sparsities,
        "rows": {text(t): [None if v is None else float(f"{v:.4g}") for v in row] for t, row in m.table.rows.items()},
        "ways": {text(t): "".join(w[0] for w in ways) for t, ways in m.ways.items()},
        **({"dense_way": OWN} if m.dense_way == OWN else {}),
        **({"dense_tiles": tiles} if tiles else {}),
    }


def _measured_from(data: Mapping[str, Any]) -> Measured:
    rows = {_tile(k): tuple(v) for k, v in data["rows"].items()}
    letters = {PACKED[0]: PACKED, IN_PLACE[0]: IN_PLACE}
    ways = {_tile(k): tuple(letters[c] for c in v) for k, v in data["ways"].items()}
    table = LatencyTable(tuple(data["sparsities"]), rows, float(data["dense"]), tuple(data["extents"]))
    tiles = {_tile(k): float(v) for k, v in data.get("dense_tiles", {}).items()}
    return Measured(table, ways, tiles, data.get("dense_way", LIBRARY))


def _tile(text: str) -> Tile:
    return tuple(map(int, text.split("x")))
