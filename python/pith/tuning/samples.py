"""Measured times as data: what a model was fitted to can be fitted again, or checked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..formats import Format
from ..formats.parse import parse_format
from .problem import Problem
from .variants import Variant


@dataclasses.dataclass(frozen=True)
class Sample:
    """One measured time.

    Attributes:
        case: number of the case; variants and numbers of threads of one case share it.
        problem, variant: what ran.
        seconds: the median.
    """

    case: int
    problem: Problem
    variant: Variant
    seconds: float


def write_samples(samples: Sequence[Sample]) -> str:
    """JSON text, one line per case: the problem, then its runs (threads, variant, seconds)."""
    cases: dict[tuple[int, Problem], list[Any]] = {}
    for s in samples:
        run = [s.problem.threads, *dataclasses.astuple(s.variant), float(f"{s.seconds:.4g}")]
        cases.setdefault((s.case, dataclasses.replace(s.problem, threads=0)), []).append(run)
    lines = [json.dumps(_to_json(*key, runs), separators=(",", ":")) for key, runs in cases.items()]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def read_samples(text: str) -> list[Sample]:
    """Inverse of :func:`write_samples`, case by case."""
    return [sample for data in json.loads(text) for sample in _from_json(data)]


def _to_json(case: int, p: Problem, runs: list[Any]) -> dict[str, Any]:
    fmt = p.format
    return {
        "case": case,
        "format": [str(fmt), fmt.pos_width, fmt.crd_width, fmt.nm_width],
        "shape": p.shape,
        "columns": p.columns,
        "element": p.element,
        "positions": p.positions,
        "metadata_bytes": p.metadata_bytes,
        "side": p.side,
        "isa": p.isa,
        "torch": p.torch,
        "runs": runs,
    }


def _from_json(data: dict[str, Any]) -> Iterator[Sample]:
    text, *widths = data["format"]
    parsed = parse_format(text)
    fmt: Format = (parsed if isinstance(parsed, Format) else parsed.to_format()).with_widths(*widths)
    names = ("columns", "element", "metadata_bytes", "side", "isa", "torch")
    rest = {name: data[name] for name in names}
    for threads, *variant, seconds in data["runs"]:
        problem = Problem(fmt, tuple(data["shape"]), positions=tuple(data["positions"]), threads=threads, **rest)
        yield Sample(data["case"], problem, Variant(*variant), seconds)
