"""Reports as Markdown (also what the terminal shows) and JSON."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from typing import Any

from .harness import Outcome
from .machine import one_line
from .records import Options, Report, Requirement, Table

#: Version of the JSON files' schema.
SCHEMA = 1

#: Reports warn when others used more than this share of the cores during a suite.
DISTURBED = 0.1


def speed_table(title: str, outcomes: Iterable[Outcome]) -> Table:
    """One row per case: milliseconds and speed-up over the baseline of every contestant."""
    outcomes = list(outcomes)
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.timings))
    columns = ["case"]
    for name in names:
        columns += [name] if name == outcomes[0].contest.baseline else [name, "x"]
    rows = []
    for outcome in outcomes:
        row = [outcome.contest.name]
        for name in names:
            there = name in outcome.timings
            row.append(f"{outcome.timings[name].median * 1e3:.3f}" if there else "-")
            if name != outcome.contest.baseline:
                row.append(f"{outcome.speedup(name):.2f}" if there else "-")
        rows.append(tuple(row))
    return Table(title, tuple(columns), tuple(rows))


def requirement_table(requirements: Iterable[Requirement]) -> Table:
    """The project's promises, kept or not."""
    rows = tuple(
        (
            r.text,
            "-" if r.measured is None else f"{r.measured:.4g} {r.unit}",
            f"{'>=' if r.at_least else '<'} {r.limit:g} {r.unit}",
            r.verdict,
        )
        for r in requirements
    )
    return Table("Requirements", ("requirement", "measured", "limit", "verdict"), rows)


def format_table(table: Table) -> str:
    """A Markdown table, columns aligned.

    >>> print(format_table(Table("t", ("case", "ms"), (("a", "1.5"),))))
    | case |  ms |
    |------|----:|
    | a    | 1.5 |
    """
    widths = [max(map(len, column)) for column in zip(table.columns, *table.rows)]

    def line(cells: Iterable[str]) -> str:
        first, *rest = zip(cells, widths)
        return "| " + " | ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(table.columns), rule, *map(line, table.rows)])


def markdown(report: Report, facts: dict[str, Any], options: Options) -> str:
    """The whole report for readers."""
    parts = [f"# {report.title}", one_line(facts)]
    if options.quick:
        parts.append("A quick run: few cases and rounds, not for quoting.")
    if (busy := facts.get("busy_with_others") or 0) > DISTURBED * facts["cores"]:
        parts.append(f"**The machine was busy**: other processes used {busy:.1f} of {facts['cores']} cores meanwhile.")
    parts += ["", *(f"- {note}" for note in report.notes)]
    for table in report.tables:
        parts += [f"\n## {table.title}\n", format_table(table)]
    if report.requirements:
        parts += ["\n## Requirements\n", format_table(requirement_table(report.requirements))]
    head, rest = parts[:1], parts[1:]
    return "\n".join([*head, "", *rest]) + "\n"


def to_json(report: Report, facts: dict[str, Any], options: Options) -> dict[str, Any]:
    """The whole report for programs."""
    return {
        "schema": SCHEMA,
        "suite": report.suite,
        "title": report.title,
        "machine": facts,
        "options": {"quick": options.quick, "threads": list(options.threads)},
        "requirements": [r.to_json() for r in report.requirements],
        "notes": report.notes,
        "cases": report.cases,
    }


def write(report: Report, facts: dict[str, Any], options: Options, directory: pathlib.Path) -> pathlib.Path:
    """Write ``<date>-<suite>.json`` and ``.md``; returns the path of the latter."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f"{facts['date'][:10]}-{report.suite}"
    text = json.dumps(to_json(report, facts, options), indent=1)
    (directory / f"{stem}.json").write_text(text + "\n")
    path = directory / f"{stem}.md"
    path.write_text(markdown(report, facts, options))
    return path
