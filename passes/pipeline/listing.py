"""Make ``upstream_passes.txt`` when the wheel's pin moves.

``python -m pith.passes.pipeline.listing [Passes.td ...] > new.txt && mv new.txt passes/pipeline/upstream_passes.txt``

MLIR's pass registry can be asked about a name but not listed from Python. So: every string in
the wheel's library that looks like a pass name is asked about (25,000 strings, 10 s). Summaries
are taken from MLIR's ``Passes.td`` files where some are given, else kept from the present listing.
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Iterator
from importlib import metadata

from pith._mlir import ir, library_dir

from .registry import upstream_passes
from .upstream import upstream_refusal

_NAME = re.compile(rb"[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?=\0)")
_DEFINITION = re.compile(r'Pass<\s*"([\w-]+)"[^{]*\{\s*let summary\s*=\s*([^;]*);')


def header() -> str:
    """First line of the listing: the wheel it was made from."""
    return f"# passes and pipelines registered by torch-mlir {metadata.version('torch-mlir')}"


def candidates(library: bytes) -> set[str]:
    """Strings of a binary that may be pass names.

    Linkers share the tails of strings, so ``x-cse`` also stands for ``cse``.

    Example:
        >>> sorted(candidates(b"a-cse" + bytes(1) + b"No" + bytes(1)))
        ['a-cse', 'cse', 'o']
    """
    out = set()
    for match in _NAME.finditer(library):
        parts = match[0].decode().split("-")
        out.update("-".join(parts[i:]) for i in range(len(parts)) if parts[i][0].isalpha())
    return out


def registered(names: set[str]) -> Iterator[str]:
    """Those of ``names`` that upstream knows, sorted."""
    context = ir.Context()
    for name in sorted(names):
        refusal = upstream_refusal(f"builtin.module({name})", context)
        if refusal is None or "does not refer to a registered pass" not in refusal:
            yield name


def summaries(tablegen: str) -> dict[str, str]:
    """Name -> summary of the passes that a ``Passes.td`` defines.

    Example:
        >>> summaries('def CSE : Pass<"cse"> { let summary = "Eliminate common " "expressions"; }')
        {'cse': 'Eliminate common expressions'}
    """
    out = {}
    for name, body in _DEFINITION.findall(tablegen):
        out[name] = " ".join("".join(re.findall(r'"([^"]*)"', body)).split())
    return out


def main(paths: list[str]) -> None:
    """Print the listing, with summaries from the TableGen files ``paths``."""
    known = dict(upstream_passes())
    for path in paths:
        known.update(summaries(pathlib.Path(path).read_text()))
    names = candidates(b"".join(p.read_bytes() for p in library_dir().glob("lib*CAPI.so")))
    rows = (f"{name}\t{known.get(name, '')}".rstrip() for name in registered(names))
    sys.stdout.write("\n".join([header(), *rows]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
