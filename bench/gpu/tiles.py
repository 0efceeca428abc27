"""Measure products by micro-tile and covered sparsity: the tile database of this GPU."""

from __future__ import annotations

import json
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from .measure import Kernels, Settings, message_of
from .peers_table import PITH
from .problems import Problem, problem
from .tile_programs import ELEMENT, SPARSITIES, TILES, dense_case, dense_tile_case, extents_of, tile_case
from .timing import HostClock, hold

#: Version of the file: that of ``pith.passes.analysis.tile_tables``, which reads it.
VERSION = 1

#: Rounds per cell; a cell is a quotient to the dense kernel in the same rounds.
_ROUNDS = 5

#: The rival.
_DENSE = "dense"


class TileKernels(Kernels, Protocol):
    """Kernels that know which tiles there are of the dense one."""

    def dense_tiles(self, extents: tuple[int, int, int]) -> Sequence[str]:
        """Names of the dense kernel's tiles for a problem."""
        ...


def measure_tiles(job: str, kernels: TileKernels, settings: Settings) -> dict[str, Any]:
    """The row of one problem: seconds per micro-tile and covered sparsity, and micro-tiles that did not run.

    Semantics: every result is compared with float64 before it is timed; a micro-tile with a wrong or failing cell is
        left out, with the reason. Rows are evened out: more sparsity never takes longer.
    """
    extents, started = extents_of(job), time.monotonic()
    try:
        dense = kernels.kernel(dense_case(extents))
    except Exception as error:
        return {"status": "failed", "stage": "load", "message": message_of(error)}
    rows, refused, base = {}, {}, []
    for tile in TILES:
        name = "x".join(map(str, tile))
        try:
            cells = [_cell(extents, tile, empty, dense, kernels, settings) for empty in SPARSITIES]
        except Exception as error:
            refused[name] = message_of(error)
            continue
        rows[name] = [own / rival for own, rival in cells]
        base += [rival for _, rival in cells]
    if not rows:
        return {"status": "failed", "stage": "run", "message": "no micro-tile ran", "refused": refused}
    scale = sorted(base)[len(base) // 2]
    measured = {
        "extents": extents,
        "dense": float(f"{scale:.4g}"),
        "sparsities": SPARSITIES,
        "rows": {name: [float(f"{max(row[i:]) * scale:.4g}") for i in range(len(row))] for name, row in rows.items()},
        "ways": {name: "i" * len(SPARSITIES) for name in rows},
        "dense_tiles": _dense_tiles(extents, kernels, settings, refused),
    }
    row = {"status": "ok", "measured": measured, "refused": refused, "multiprocessors": _multiprocessors()}
    return {**row, "seconds": round(time.monotonic() - started, 1)}


def _dense_tiles(
    extents: tuple[int, int, int], kernels: TileKernels, settings: Settings, refused: dict[str, str]
) -> dict[str, float]:
    """Seconds of the dense kernel with every tile that there is a kernel for, all in one race."""
    given, calls = problem(dense_case(extents), settings.device, settings.seed), {}
    for tile in kernels.dense_tiles(extents):
        try:
            call = kernels.kernel(dense_tile_case(extents, tile))(given)
            _require_right(given, call, f"dense {tile}")
            calls[tile] = call
        except Exception as error:
            refused[f"dense {tile}"] = message_of(error)
    race = hold(calls, {}, settings.clock or HostClock(), _ROUNDS) if calls else None
    return {tile: float(f"{t.median:.4g}") for tile, t in race.timings.items()} if race else {}


def _require_right(given: Problem, call: Callable[[], Any], what: str) -> None:
    """Errors: ``ValueError`` for a wrong result."""
    given.poison()
    error = given.error(call())
    if not error <= given.tolerance:
        raise ValueError(f"{what}: off by {error:.3g}, allowed {given.tolerance:.3g}")


def _cell(
    extents: tuple[int, int, int],
    tile: tuple[int, int],
    empty: float,
    dense: Callable[[Any], Callable[[], Any]],
    kernels: Kernels,
    settings: Settings,
) -> tuple[float, float]:
    """Seconds of a micro-tile and of the dense kernel. Errors: ``ValueError`` for a wrong result."""
    case = tile_case(extents, tile, empty)
    given = problem(case, settings.device, settings.seed)
    own, rival = kernels.kernel(case)(given), dense(given)
    for call in (own, rival):
        _require_right(given, call, f"{empty:.0%} empty")
    race = hold({PITH: own, _DENSE: rival}, {}, settings.clock or HostClock(), _ROUNDS)
    return race.timings[_DENSE].median / race.speedup(PITH, _DENSE), race.timings[_DENSE].median


def write_database(
    folder: pathlib.Path, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]
) -> pathlib.Path | None:
    """``<device>.tiles.json`` of all problems that were measured; None where there are none.

    Copied into ``passes/analysis/data/`` it comes with pith; ``pith-select-tiles{table=FILE}`` reads it from anywhere.
    """
    done = [row for row in rows if row["job"].startswith("tiles ") and row["status"] == "ok"]
    if not done:
        return None
    device = str(facts["device"])
    table = {
        "cpu": device,
        "isa": facts["target"],
        "threads": done[0]["multiprocessors"],
        "element": ELEMENT,
        "side": "left",
        "facts": dict(facts),
        "measured": [row["measured"] for row in done],
    }
    stem = "".join(c if c.isalnum() else "-" for c in device.lower()).strip("-")
    path = folder / f"{stem}.tiles.json"
    aside = path.with_name(f".{path.name}")
    aside.write_text(json.dumps({"version": VERSION, "tables": [table]}) + "\n")
    os.replace(aside, path)
    return path


def _multiprocessors() -> int:
    return torch.cuda.get_device_properties(0).multi_processor_count if torch.cuda.is_available() else 1
