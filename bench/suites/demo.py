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

#: Times of the padded batch: field, text.
_PADDED = (
    ("ms_torch_padded", "torch"),
    ("ms_torch_single", "torch, one sentence at a time"),
    ("ms_pith", "pith, without the padding"),
    ("ms_pith_pruned", "pith, without it and pruned"),
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite; when there is no demo to run, the report says why."""
    report = Report("demo", "MiniLM with hierarchical feed-forward weights, and on a padded batch")
    cosines = []
    for threads in options.threads:
        progress(f"demo: pith demo --json, threads: {threads}")
        result = _demo(threads, options.quick, report.notes)
        report.cases.append({"case": "pith demo", "threads": threads, "result": result})
        rows = tuple((name, _text(result[name])) for name in SHOWN if name in result)
        if rows:
            report.tables.append(Table(f"pith demo --json, threads: {threads}", ("field", "value"), rows))
            report.tables.append(_padded_table(result["padded"], threads))
            speedup = result["ms_torch_dense"] / result["ms_pith"]
            report.notes.append(f"Whole encoder with pith over dense torch, threads: {threads}: {speedup:.2f}x.")
            cosines.append(result["cosine_vs_torch_pruned_min"])
        report.requirements += _padded_requirements(result.get("padded"), threads)
    text = "demo: cosine to the same pruned model in torch, smallest"
    report.requirements.append(Requirement(text, min(cosines, default=None), 0.9999, "", at_least=True))
    return report


def _demo(threads: int, quick: bool, notes: list[str]) -> dict[str, Any]:
    """What ``pith demo --json`` prints; nothing and a note when it does not run."""
    pith = str(pathlib.Path(sys.executable).with_name("pith"))
    command = [pith, "demo", "--json", f"--threads={threads}", *(_QUICK if quick else ())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, json.JSONDecodeError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        notes.append("`pith demo --json` did not run: " + (said[-1] if said else type(error).__name__))
        return {}


def _padded_table(padded: dict[str, Any], threads: int) -> Table:
    rows = tuple(
        (text, f"{padded[field]:.1f}", f"{padded['ms_torch_padded'] / padded[field]:.2f}x") for field, text in _PADDED
    )
    size, waste = padded["size"], 100 * padded["waste"]
    title = f"{padded['sentences']} sentences padded to {size} tokens, {waste:.0f} % padding, threads: {threads}"
    return Table(title, ("variant", "ms", "over padded torch"), rows)


def _padded_requirements(padded: dict[str, Any] | None, threads: int) -> list[Requirement]:
    speed = padded["ms_torch_padded"] / padded["ms_pith"] if padded else None
    error = padded["relative_error"] if padded else None
    end = f", threads: {threads}"
    return [
        Requirement("demo: padded batch over torch" + end, speed, 1.8, "x", at_least=True),
        Requirement("demo: padded batch, relative difference to torch" + end, error, 1e-5, ""),
    ]


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
