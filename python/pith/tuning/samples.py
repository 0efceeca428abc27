"""Measured times as data: what a model was fitted to can be fitted again, or checked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
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
    """JSON text, one line per sample."""
    lines = [json.dumps(_to_json(s), separators=(",", ":")) for s in samples]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def read_samples(text: str) -> list[Sample]:
    """Inverse of :func:`write_samples`."""
    return [_from_json(data) for data in json.loads(text)]


def _to_json(s: Sample) -> dict[str, Any]:
    p, fmt = s.problem, s.problem.format
    return {
        "case": s.case,
        "format": [str(fmt), fmt.pos_width, fmt.crd_width, fmt.nm_width],
        "shape": p.shape,
        "columns": p.columns,
        "element": p.element,
        "positions": p.positions,
        "metadata": p.metadata_bytes,
        "side": p.side,
        "threads": p.threads,
        "isa": p.isa,
        "torch": p.torch,
        "variant": dataclasses.astuple(s.variant),
        "seconds": float(f"{s.seconds:.5g}"),
    }


def _from_json(data: dict[str, Any]) -> Sample:
    text, *widths = data["format"]
    parsed = parse_format(text)
    fmt: Format = (parsed if isinstance(parsed, Format) else parsed.to_format()).with_widths(*widths)
    problem = Problem(
        fmt,
        tuple(data["shape"]),
        data["columns"],
        data["element"],
        tuple(data["positions"]),
        data["metadata"],
        data["side"],
        data["threads"],
        data["isa"],
        data["torch"],
    )
    return Sample(data["case"], problem, Variant(*data["variant"]), data["seconds"])
