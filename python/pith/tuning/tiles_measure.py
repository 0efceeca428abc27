"""Measure dynamic products by micro-tile and covered sparsity (``pith bench --tiles``)."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pith.lowering.isa import host_isa
from pith.passes.analysis.tile_cost import LatencyTable, Tile

from ..formats.pack_buffers import aligned_empty
from ..runtime import dtype_name, num_threads, numpy_dtype
from ..runtime.cpu import cpu_class
from .calibrate import facts_of, use_threads
from .tiles import IN_PLACE, LIBRARY, OWN, PACKED, Measured, TileTable, usual_dense

#: Covered sparsities that are measured.
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)

#: Micro-tiles by side; 0 is a whole dimension.
TILES: dict[str, tuple[Tile, ...]] = {
    "left": ((1, 1), (4, 1), (8, 1), (16, 1), (32, 1), (1, 8), (1, 32), (1, 0), (0, 1)),
    "right": ((1, 1), (8, 1), (32, 1), (1, 8), (1, 32), (1, 0), (0, 1)),
}

#: Rows and columns of the sparse operand and the dense one's free dimension: square, tall, few tokens, few columns. The
#: last is for what does not grow with the free dimension: 1 % of the elements as 1x1 and as 4x1 take 0.56 and 0.53 ms
#: with 512, 0.74 and 0.87 with 1024, where twice those of 512 said 1.08 and 1.03 (f32, two threads, Emerald Rapids,
#: 2026-11-23).
EXTENTS = (
    (1024, 1024, 512),
    (512, 512, 512),
    (256, 1024, 1024),
    (64, 1024, 1024),
    (1024, 512, 128),
    (32, 1024, 2048),
    (256, 256, 256),
    (1024, 1024, 1024),
)

#: A cell is given up after one call when it is this much slower than dense: it will not be chosen.
_HOPELESS = 3.0

#: Rows, columns and depth of the product that tells whether the library's product of a narrow type is worth timing:
#: torch's bf16 takes seven times as long as f32 would on processors without instructions for it, or a hundred.
_PROBE = 128

#: pith's own dense kernel is taken where it is faster by so much, and timed as often for every micro-tile's rounds.
#: Sizes near a measured one may suit it less: 512^3 f32 takes as long as the library, 300x700x500 6 % longer (Emerald
#: Rapids, one thread, 2026-11-22).
_OWN_GAIN, _OWN_ROUNDS = 0.95, 5


#: Cells beside which dense took so many times its least are measured again, up to ``_AGAIN`` times: cores that other
#: work takes for seconds slow down what computes, and less what reads memory (64x1024x1024 f32 on two threads, dense
#: 0.71 in place of 0.46 ms: every micro-tile seemed to win at 90 % of them; Emerald Rapids, 2026-11-22).
_DISTURBED, _AGAIN = 1.15, 3


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the tile database is measured.

    Attributes:
        seconds: no new problem is begun after so many.
        rounds: calls per cell, interleaved with dense; the quotient's median counts.
        threads, elements, sides: what is measured.
        extents: problems.
        clock: seconds.
    """

    seconds: float = 150.0
    rounds: int = 5
    threads: tuple[int, ...] = (1,)
    elements: tuple[str, ...] = ("f32", "f64")
    sides: tuple[str, ...] = ("left", "right")
    extents: tuple[tuple[int, int, int], ...] = EXTENTS
    clock: Callable[[], float] = time.perf_counter


def measure_tiles(
    settings: Settings, progress: Callable[[float, str], None] = lambda done, text: None
) -> list[TileTable]:
    """One table per element type, side and number of threads; the number of threads is restored."""
    before = num_threads()
    jobs = list(_jobs(settings))
    found: dict[tuple[str, str, int], list[Measured]] = {}
    start = time.monotonic()
    try:
        for number, (threads, element, side, extents) in enumerate(jobs):
            if time.monotonic() - start > settings.seconds and (element, side, threads) in found:
                continue
            progress(number / len(jobs), f"{element} {side} {'x'.join(map(str, extents))}")
            use_threads(threads)
            found.setdefault((element, side, threads), []).append(_measure(element, side, extents, settings))
    finally:
        use_threads(before)
    facts = facts_of(settings.rounds)
    return [
        TileTable(cpu_class(), host_isa().name, threads, element, side, tuple(measured), facts=facts)
        for (element, side, threads), measured in found.items()
    ]


def _jobs(settings: Settings) -> Iterator[tuple[int, str, str, tuple[int, int, int]]]:
    """The first problems of every table before the second ones."""
    for extents in settings.extents:
        for element in settings.elements:
            for side in settings.sides:
                for threads in settings.threads:
                    yield threads, element, side, extents


def _measure(element: str, side: str, extents: tuple[int, int, int], settings: Settings) -> Measured:
    """All micro-tiles of one problem."""
    rng = np.random.default_rng(list(extents))
    rows, columns, free = extents
    values = _drawn(rng, (rows, columns), element)
    y = _drawn(rng, (columns, free) if side == "left" else (free, rows), element)
    cells = {(tile, s): _race(_sparse(rng, values, tile, s), y, side, tile, settings) for tile, s in _cells(side)}
    for _ in range(_AGAIN):
        least = min(cell.dense for cell in cells.values())
        for tile, s in (key for key, cell in cells.items() if cell.dense > _DISTURBED * least):
            again = _race(_sparse(rng, values, tile, s), y, side, tile, settings)
            cells[tile, s] = min(cells[tile, s], again, key=lambda cell: cell.dense)
    scale = float(np.median([cell.dense for cell in cells.values()]))
    way, gain = _best_dense(element, values, y, side, settings)
    rows_of = {tile: [cells[tile, s] for s in SPARSITIES] for tile in TILES[side]}
    scaled = {tile: tuple(_falling([cell.quotient * scale for cell in row])) for tile, row in rows_of.items()}
    ways = {tile: tuple(cell.way for cell in row) for tile, row in rows_of.items()}
    return Measured(LatencyTable(SPARSITIES, scaled, scale * gain, extents), ways, dense_way=way)


def _cells(side: str) -> Iterator[tuple[Tile, float]]:
    for tile in TILES[side]:
        for sparsity in SPARSITIES:
            yield tile, sparsity


@dataclasses.dataclass(frozen=True)
class _Cell:
    """A micro-tile at one sparsity.

    Attributes:
        way: to run it, the faster one; ``quotient``: its time over that of dense.
        dense: seconds of the calls of dense between.
    """

    way: str
    quotient: float
    dense: float


def _best_dense(element: str, x: np.ndarray, y: np.ndarray, side: str, settings: Settings) -> tuple[str, float]:
    """The way to multiply densely, and its time over that of the way that micro-tiles raced with."""
    raced = usual_dense(element)
    if raced == OWN and not _library_competes(element, settings):
        return OWN, 1.0
    own = _own_over_library(x, y, side, settings)
    way = OWN if own < _OWN_GAIN else LIBRARY
    return way, 1.0 if way == raced else own if way == OWN else 1.0 / own


def _library_competes(element: str, settings: Settings) -> bool:
    """Whether the library's product of an element type is worth timing, by a small one."""
    x = np.ones((_PROBE, _PROBE), numpy_dtype(element))
    if x.dtype.kind == "i":
        return False  # its results have no more bits than its operands
    once = dataclasses.replace(settings, rounds=1)
    return _own_over_library(x, x, "left", once) > 1.0 / _HOPELESS


def _own_over_library(x: np.ndarray, y: np.ndarray, side: str, settings: Settings) -> float:
    """Time of pith's own dense kernel over that of the library's product, calls taking turns: median of quotients."""
    from ..functional.dynamic.run import Product, run_dense

    product = Product(x, y, side)
    out, quotients = product.result(), []
    for _ in range(_OWN_ROUNDS * settings.rounds + 1):
        spent = []
        for way in (OWN, LIBRARY):
            start = settings.clock()
            run_dense(product, out, way)
            spent.append(settings.clock() - start)
        quotients.append(spent[0] / spent[1])
    return float(np.median(quotients[1:]))  # the first call compiles


def _race(x: np.ndarray, y: np.ndarray, side: str, tile: Tile, settings: Settings) -> _Cell:
    """Dense and every way to run a micro-tile, calls taking turns: medians of dense, and of quotients."""
    from ..functional.dynamic.bound import bind
    from ..functional.dynamic.choice import named
    from ..functional.dynamic.run import Product, packs, run_dense
    from .tiles import name_of

    product = Product(x, y, side)
    out = product.result()
    ways = [IN_PLACE, *([PACKED] if packs(side, tile) else [])]
    choices = {way: named(product, f"{name_of(tile)} {IN_PLACE}" if way == IN_PLACE else name_of(tile)) for way in ways}
    operands = (x, y, out) if side == "left" else (y, x, out)
    base = usual_dense(dtype_name(x.dtype))
    calls: dict[str, Callable[[], Any]] = {"dense": lambda: run_dense(product, out, base)}
    for way, choice in choices.items():
        if (bound := bind(product, choice)) is not None:
            calls[way] = functools.partial(bound.run, *operands)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(settings.rounds + 1):
        for name, call in list(calls.items()):
            start = settings.clock()
            call()
            spent = settings.clock() - start
            if number:  # the first call compiles and warms up
                samples[name].append(spent)
        if number == 1:
            slow = [n for n in calls if n != "dense" and samples[n][0] > _HOPELESS * samples["dense"][0]]
            calls = {n: c for n, c in calls.items() if n not in slow}
    dense = np.array(samples.pop("dense"))
    quotients = {way: float(np.median(np.array(own) / dense[: len(own)])) for way, own in samples.items()}
    best = min(quotients, key=quotients.__getitem__)
    return _Cell(best, quotients[best], float(np.median(dense)))


def _falling(row: Sequence[float]) -> list[float]:
    """A row in which more sparsity never takes longer: what noise says otherwise is evened out."""
    return [max(row[i:]) for i in range(len(row))]


def _sparse(rng: np.random.Generator, values: np.ndarray, tile: Tile, sparsity: float) -> np.ndarray:
    """``values`` with a share of the micro-tiles zeroed."""
    extents = [t or n for t, n in zip(tile, values.shape)]
    grid = [-(-n // t) for n, t in zip(values.shape, extents)]
    keep = np.ones(grid[0] * grid[1], bool)
    keep[rng.permutation(keep.size)[: round(keep.size * sparsity)]] = False
    mask = keep.reshape(grid).repeat(extents[0], 0).repeat(extents[1], 1)
    return _aligned(np.where(mask[: values.shape[0], : values.shape[1]], values, 0).astype(values.dtype))


def _drawn(rng: np.random.Generator, shape: tuple[int, int], element: str) -> np.ndarray:
    dtype = numpy_dtype(element)
    return _aligned((rng.standard_normal(shape) * (32 if dtype.kind == "i" else 1)).clip(-127, 127).astype(dtype))


def _aligned(array: np.ndarray) -> np.ndarray:
    out: Any = aligned_empty(array.size, array.dtype).reshape(array.shape)
    out[...] = array
    return out
