"""The process that touches the device: jobs in, rows out (see ``supervisor``)."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import torch

from .kernels import Packed
from .measure import Settings, measure
from .supervisor import BROKEN_DEVICE, tell
from .timing import CudaClock, HostClock


def main(argv: Sequence[str] | None = None) -> int:
    """Do jobs one after the other; :data:`BROKEN_DEVICE` once the device does not answer any more."""
    args = _parser().parse_args(argv)
    cuda = args.device == "cuda"
    settings = Settings(
        torch.device(args.device), CudaClock() if cuda else HostClock(), args.rounds, args.seed, args.seconds
    )
    kernels = Packed(args.package, copying=not cuda)
    for job in args.jobs:
        tell(args.descriptor, {"begin": job})
        row = {"job": job, **_done(job, kernels, settings)}
        # A peer, or one of several kernels, may have failed in a row that is otherwise well.
        broken = cuda and (row.get("status") != "ok" or bool(row.get("refused"))) and not _alive()
        if broken:
            row["message"] = f"{row.get('message', '')}\nthe device answers nothing after it".strip()
        tell(args.descriptor, row)
        if broken:
            return BROKEN_DEVICE
        if cuda:
            torch.cuda.empty_cache()
    return 0


def _done(job: str, kernels: Packed, settings: Settings) -> dict[str, Any]:
    """The row of a job: ``case NAME``, ``tiles EXTENTS`` or ``vectors NAME``."""
    kind, _, name = job.partition(" ")
    if kind == "case":
        return measure(kernels.case(name), kernels, settings)
    if kind == "tiles":
        from .tiles import measure_tiles

        return measure_tiles(name, kernels, settings)
    from .vectors import record_vectors

    return record_vectors(name, kernels, settings)


def _alive() -> bool:
    """Whether the device still works after a failure."""
    try:
        torch.cuda.synchronize()
        return bool(torch.ones(1, device="cuda").sum() == 1)
    except Exception:  # whatever a driver says when its context is gone
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.worker")
    parser.add_argument("--package", type=pathlib.Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("descriptor", type=int)
    parser.add_argument("jobs", nargs="+")
    return parser


if __name__ == "__main__":
    sys.exit(main())
