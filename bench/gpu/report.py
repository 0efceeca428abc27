"""Rows into one JSON file and one Markdown page, with every requirement marked."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from bench.records import Requirement, Table
from bench.report import format_table, requirement_table

from .cases import CASES, Case
from .peers_table import PITH

#: Of the JSON file.
SCHEMA = 1

NOTES = (
    "Times are medians in us over interleaved rounds; `x` is how many times faster pith is than the peer, the median "
    "of the rounds' quotients. L2 is overwritten before every sample.",
    "A sample is one replay of a CUDA graph of one call, between two events; `(stream)`: the call could not be "
    "captured and was timed on a stream.",
    "Every kernel of pith was compared with float64 first, on random data, its outputs filled with NaN before; what "
    "is off is not timed.",
    "Detection is part of pith's time; what peers need (CSR, BSR, compressed 2:4) was made before, outside of theirs.",
)


def requirements(rows: Sequence[Mapping[str, Any]]) -> list[Requirement]:
    """What is asked for, in the order of the cases; not measured where a row is missing or failed."""
    by_case = {row["case"]: row for row in rows if row.get("status") == "ok" and "case" in row}
    found = [
        Requirement(f"{need.text}: times {need.peer}", _speedup(by_case, case, need.peer), need.ratio, "x", True)
        for case in CASES
        for need in case.needs
    ]
    found += [
        Requirement(
            "launch overhead of a call from Python", by_case.get(case.name, {}).get("call_us"), case.call_us, "us"
        )
        for case in CASES
        if case.call_us
    ]
    return [*found, *(_monotone(name, by_case) for name in dict.fromkeys(c.series for c in CASES if c.series))]


def _speedup(rows: Mapping[str, Mapping[str, Any]], case: Case, peer: str) -> float | None:
    contestants = rows.get(case.name, {}).get("contestants", {})
    return contestants[peer]["pith_speedup"] if peer in contestants else None


def _monotone(series: str, rows: Mapping[str, Mapping[str, Any]]) -> Requirement:
    """The smallest step from one degree to the next sparser one: at least 1 when none takes longer."""
    cases = [c for c in CASES if c.series == series]
    text = f"{series}: no degree slower than the next denser one"
    if not all(c.name in rows and rows[c.name].get("contestants") for c in cases):
        return Requirement(text, None, 1.0, "x", True)
    ordered = sorted(cases, key=lambda c: -rows[c.name]["flops"])
    times = [rows[c.name]["contestants"][PITH]["median_us"] for c in ordered]
    return Requirement(text, min(a / b for a, b in itertools.pairwise(times)), 1.0, "x", True)


def markdown(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """The page."""
    head = ", ".join(f"{k} {v}" for k, v in facts.items())
    parts = ["# GPU kernels", "", head, "", *(f"- {note}" for note in NOTES), "", "## Requirements", ""]
    parts += [format_table(requirement_table(requirements(rows))), "", "## Cases", "", format_table(_case_table(rows))]
    troubles = [row for row in rows if row.get("status") != "ok" or row.get("refused")]
    if troubles:
        parts += ["", "## What did not run", ""]
        parts += [f"- **{row['job']}** {_trouble(row)}" for row in troubles]
    return "\n".join(parts) + "\n"


def _case_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    lines = []
    for row in rows:
        if "case" not in row:
            continue
        contestants = row.get("contestants", {})
        own = contestants.get(PITH)
        time = f"{own['median_us']:.1f}{_way(own)}" if own else row["status"]
        rate = f"{row['flops'] / own['median_us'] * 1e-6:.1f}" if own and row.get("flops") else ""
        error = f"{row['error']:.1e}" if "error" in row else ""
        peers = "; ".join(
            f"{n}: {c['median_us']:.1f}{_way(c)}, x{c['pith_speedup']:.2f}" for n, c in contestants.items() if n != PITH
        )
        lines.append((row["case"], time, rate, error, peers))
    return Table("Cases", ("case", "pith us", "TFLOP/s", "error", "peers"), tuple(lines))


def _way(contestant: Mapping[str, Any]) -> str:
    return "" if contestant["way"] in ("graph", "host") else " (stream)"


def _trouble(row: Mapping[str, Any]) -> str:
    texts = [f"{row['status']}{' at ' + row['stage'] if 'stage' in row else ''}"] if row["status"] != "ok" else []
    if row["status"] == "wrong":
        texts.append(f"off by {row['error']:.3g}, allowed {row['tolerance']:.3g}")
    texts += [row["message"]] if row.get("message") else []
    texts += [f"{name}: {why}" for name, why in row.get("refused", {}).items()]
    return ": ".join(texts).replace("\n", "\n  ")


def write(folder: pathlib.Path, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> pathlib.Path:
    """``gpu.json`` and ``gpu.md``, whole or not at all; returns the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = [r.to_json() for r in requirements(rows)]
    data = {"schema": SCHEMA, "device": dict(facts), "requirements": asked, "rows": list(rows)}
    page = folder / "gpu.md"
    for path, text in ((folder / "gpu.json", json.dumps(data, indent=1) + "\n"), (page, markdown(rows, facts))):
        aside = path.with_name(f".{path.name}")
        aside.write_text(text)
        os.replace(aside, path)
    return page
