"""The main job: ``pith demo --json``, MiniLM with hierarchical feed-forward weights."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

from bench.records import Options, Progress, Report, Requirement, Table

_QUICK = ("--sentences", "8", "--layers", "1", "--rounds", "2")

#: Fields of the demo's JSON that the table shows, where present.
SHOWN = (
    "ms_torch_dense",
    "ms_torch_pruned",
    "ms_pith",
    "cosine_vs_torch_pruned_min",
    "cosine_vs_dense_mean",
    "weight_bytes_dense",
    "weight_bytes_pith",
    "format",
    "sentences",
    "tokens",
    "threads",
    "compile_s",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite; when there is no demo to run, the report says why."""
    report = Report("demo", "MiniLM with hierarchical feed-forward weights")
    progress("demo: pith demo --json")
    command = [
        str(pathlib.Path(sys.executable).with_name("pith")),
        "demo",
        "--json",
        *(_QUICK if options.quick else ()),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, json.JSONDecodeError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        report.notes.append("`pith demo --json` did not run: " + (said[-1] if said else type(error).__name__))
        result = {}
    report.cases.append({"case": "pith demo", "result": result})
    rows = tuple((name, _text(result[name])) for name in SHOWN if name in result)
    if rows:
        report.tables.append(Table("pith demo --json", ("field", "value"), rows))
        speedup = result["ms_torch_dense"] / result["ms_pith"]
        report.notes.append(f"Whole encoder with pith over dense torch: {speedup:.2f}x.")
    cosine = result.get("cosine_vs_torch_pruned_min")
    text = "demo: cosine to the same pruned model in torch, smallest"
    report.requirements.append(Requirement(text, cosine, 0.9999, "", at_least=True))
    return report


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
