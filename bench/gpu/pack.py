"""Compile every kernel of the cases and put them, pith's runtime and the runner into one file."""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import pathlib
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .kernels import FOLDER, MANIFEST
from .options import add_only, add_target, chosen

#: The folder a package unpacks into.
ROOT = "gpu_bench"

#: Largest package: what still travels easily to a machine without a network.
MAX_BYTES = 60 << 20

_REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

#: Of the benchmarks, what runs on the GPU machine.
_BENCH = ("__init__.py", "harness.py", "machine.py", "records.py", "report.py")

#: Folders of ``pith`` that only a compiler needs: the package runs kernels, and must not import what makes them.
_LEFT_OUT = ("cli", "demo", "tools", "torch")

#: What loading a bundle needs of the lowerings: names of instruction sets, which are data.
_LOWERING = ("__init__.py", "isa.py")


def pack(
    path: pathlib.Path, target: str, names: Sequence[str], progress: Callable[[str], None], small: bool = False
) -> dict[str, Any]:
    """Write the package; returns its manifest. A kernel that the compiler refuses is in it with the reason.

    Args:
        names: parts of the names of the cases to pack (``tiles`` and ``vectors``: what these need); all of it when
            there are none.
        small: at the sizes for emulation.
    Errors: those of the operating system; ``ValueError`` for a package that is too large to travel.
    """
    with tempfile.TemporaryDirectory(prefix="pith-pack-") as made:
        root = pathlib.Path(made)
        manifest = _manifest(target, small, dict(_kernels(root, target, names, small, progress)))
        (root / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w:gz") as archive:
            for source, name in _files(root):
                archive.add(source, f"{ROOT}/{name}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size >> 20} MiB, at most {MAX_BYTES >> 20} travel")
    return manifest


def _manifest(target: str, small: bool, kernels: dict[str, Any]) -> dict[str, Any]:
    import pith

    from bench.machine import machine_facts

    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    facts = {
        "pith": pith.__version__,
        "commit": machine_facts()["commit"],
        "packed": now,
        "target": target,
        "small": small,
    }
    return {**facts, "kernels": kernels}


def _kernels(
    root: pathlib.Path, target: str, names: Sequence[str], small: bool, progress: Callable[[str], None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, entry of the manifest) of every kernel, each compiled once."""
    from .programs import program
    from .tile_programs import tile_kernels
    from .vector_programs import vector_kernels

    cases = [case.scaled() if small else case for case in chosen(names)]
    wanted = {c.kernel: (functools.partial(program, c.family, c.build), c.target or target) for c in cases}
    wanted |= {name: (text, target) for name, text in tile_kernels(target) if not names or "tiles" in names}
    folder = root / FOLDER
    folder.mkdir()
    for number, (name, (text, chip)) in enumerate(wanted.items()):
        progress(f"{number + 1}/{len(wanted)} {name}")
        if not chip.startswith(target):
            yield name, {"error": f"UnsupportedError: it is for {chip}, the others are for {target}"}
            continue
        yield name, _compiled(folder / f"{name}.pith", text, chip)
    if not names or "vectors" in names:
        yield from vector_kernels(folder, target)


def _compiled(path: pathlib.Path, text: Callable[[], str], target: str) -> dict[str, Any]:
    """Compile and save; the entry says how long it took, or what the compiler said."""
    import pith

    start = time.monotonic()
    try:
        kernel = pith.compile(text(), target=target)
        kernel.save(path)
    except Exception as error:  # one family's compiler error must not keep the others at home
        return {"error": f"{type(error).__name__}: {error}"[:2000]}
    return {"file": path.name, "seconds": round(time.monotonic() - start, 2), "explain": kernel.explain()}


def _files(made: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """What goes in, and its name there."""
    for path in sorted(made.rglob("*")):
        if path.is_file():
            yield path, str(path.relative_to(made))
    here = pathlib.Path(__file__).parent
    for path in (here / "run.py", here / "README.md"):
        yield path, path.name
    for path in sorted(here.glob("*.py")):
        yield path, f"bench/gpu/{path.name}"
    for name in _BENCH:
        yield here.parent / name, f"bench/{name}"
    for name in _LOWERING:
        yield _REPOSITORY / "lowering" / name, f"pith/lowering/{name}"
    pith = _REPOSITORY / "python" / "pith"
    for path in sorted(pith.rglob("*.py")):
        inside = path.relative_to(pith)
        if inside.parts[0] not in _LEFT_OUT and "__pycache__" not in inside.parts:
            yield path, f"pith/{inside}"


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m bench.gpu pack``: write a package and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu pack", description=__doc__)
    parser.add_argument(
        "-o", "--output", type=pathlib.Path, default=pathlib.Path("build/gpu_bench.tar.gz"), metavar="FILE",
        help="the package (%(default)s)",
    )  # fmt: skip
    add_target(parser, "what kernels are compiled for")
    add_only(parser, "tiles", "vectors")
    parser.add_argument("--small", action="store_true", help="sizes for a test of the harness, not for timing")
    args = parser.parse_args(argv)
    manifest = pack(args.output, args.target, args.only, lambda text: print(text, file=sys.stderr), args.small)
    refused = {name: entry["error"] for name, entry in manifest["kernels"].items() if "error" in entry}
    for name, error in refused.items():
        print(f"not compiled: {name}: {error.splitlines()[0]}")
    size = args.output.stat().st_size
    print(f"{len(manifest['kernels']) - len(refused)} kernels, {size / 2**20:.1f} MiB: {args.output}")
    print(f"on the GPU machine: tar xf {args.output.name} && python {ROOT}/run.py -o results")
    return 0
