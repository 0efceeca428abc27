"""The GPU machine's side: jobs to workers, rows to files, the tables to the terminal."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch

from . import facts as device_facts
from .kernels import Packed
from .options import add_only, chosen
from .report import markdown, write
from .supervisor import python, supervise
from .tile_programs import TILE_JOBS
from .vector_programs import VECTOR_JOBS

#: Seconds of a whole run: machines are lent for ten minutes at a time.
SECONDS = 500.0

#: What is run when nothing is named.
PARTS = ("cases", "vectors", "tiles")


def main(package: pathlib.Path, argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 when nothing ran at all, 2 when nothing can."""
    args = _parser().parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("run.py: no CUDA device or no CUDA build of torch; --device cpu tests the harness", file=sys.stderr)
        return 2
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
    os.environ.setdefault("PITH_CACHE_DIR", str(args.output / "cache"))
    facts = device_facts.machine(args.device) | device_facts.package(Packed(package).manifest)
    recorder = _Recorder(args.output, facts)
    options = {"package": package, "device": args.device, "rounds": args.rounds, "seed": args.seed}
    worker = python("bench.gpu.worker", *(f"--{name}={value}" for name, value in options.items()))
    supervise(_jobs(args), worker, recorder, args.seconds)
    recorder.facts |= device_facts.afterwards(args.device)
    recorder.finish()
    print(markdown(recorder.rows, recorder.facts))
    print(f"written: {', '.join(map(str, recorder.written))}")
    return 0 if any(row["status"] == "ok" for row in recorder.rows) else 1


def _jobs(args: argparse.Namespace) -> list[str]:
    """Layouts, which take seconds and explain what is wrong elsewhere; then what is asked for, the rest, and tiles."""
    asked = {part: part in (args.parts or PARTS) for part in PARTS}
    cases = chosen(args.only)
    first = [f"case {c.name}" for c in cases if c.asked]
    rest = [f"case {c.name}" for c in cases if not c.asked]
    return [
        *([f"vectors {name}" for name in VECTOR_JOBS] if asked["vectors"] else []),
        *(first if asked["cases"] else []),
        *(rest if asked["cases"] else []),
        *([f"tiles {name}" for name in TILE_JOBS] if asked["tiles"] else []),
    ]


class _Recorder:
    """Rows so far; every one of them is on disk before the next job begins."""

    def __init__(self, folder: pathlib.Path, facts: dict[str, Any]):
        self.folder, self.facts = folder, facts
        folder.mkdir(parents=True, exist_ok=True)
        self.rows: list[dict[str, Any]] = []
        self.written: list[pathlib.Path] = []
        self._start = time.monotonic()

    def __call__(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        with (self.folder / "rows.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")  # whatever becomes of the report
        page = write(self.folder, self.rows, self.facts)
        self.written = [page, page.with_suffix(".json")]
        seconds = time.monotonic() - self._start
        print(f"{seconds:6.1f} s  {row['status']:<12} {row['job']}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """The report once more, and the files that are made of several rows."""
        write(self.folder, self.rows, self.facts)
        from .tiles import write_database
        from .vectors import write_vectors

        made = [to(self.folder, self.rows, self.facts) for to in (write_database, write_vectors)]
        self.written += [path for path in made if path is not None]


def _part(text: str) -> str:
    """Not argparse's choices: these would have to hold the empty list, too."""
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no part; there are: {', '.join(PARTS)}")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python run.py", description="Measure the packed kernels on this GPU.")
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=f"{', '.join(PARTS)} (all of them)")
    parser.add_argument(
        "-o", "--output", type=pathlib.Path, default=pathlib.Path("results"), metavar="DIR",
        help="where the results go (%(default)s)",
    )  # fmt: skip
    add_only(parser)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the whole run (%(default).0f)")
    parser.add_argument("--rounds", type=int, default=15, help="of every race (%(default)d)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the data (the clock)")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda",
        help="cpu: does the harness work? Without a driver every kernel is a failed row (%(default)s)",
    )  # fmt: skip
    return parser
