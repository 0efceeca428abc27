"""Run every case under emulation, at sizes that no tile divides: what a package is made of works before it travels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch

from .kernels import Emulated
from .measure import Settings, measure
from .options import add_only, add_target, chosen


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m bench.gpu check``: 1 when a case is wrong or fails."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu check", description=__doc__)
    add_target(parser, "the chip that is emulated")
    add_only(parser)
    args = parser.parse_args(argv)
    settings, kernels, bad = Settings(torch.device("cpu"), None), Emulated(args.target), 0
    for case in chosen(args.only):
        row = measure(case.scaled(), kernels, settings)
        bad += row["status"] != "ok"
        detail = row.get("message", "").splitlines()[:1] or [f"error {row.get('error', 0):.1e}"]
        print(f"{row['status']:<7} {case.name:<24} {detail[0]}", flush=True)
    print(f"{bad} bad" if bad else "all right", file=sys.stderr)
    return int(bad > 0)
