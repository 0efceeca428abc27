"""Run a compiled kernel or an MLIR file on arrays.

  pith run f.pith --input x.npy                     print the result
  pith run f.mlir --input w.mtx --input x.npy --output y.npy

Inputs come in the order of the function's arguments: .npy files, numbers, and for sparse arguments
.mtx, .smtx or .npz files, converted to the argument's format. Of a function without results the
arguments it writes to are the results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pith.errors import ArgumentError, FileFormatError

from .compile import add_kernel_options, load_program

if TYPE_CHECKING:
    from ..compiler.kernel import Kernel
    from ..compiler.params import Param


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith run``."""
    parser.add_argument("file", metavar="FILE", help="a kernel file (pith compile -o) or a .mlir file")
    parser.add_argument("--input", "-i", action="append", default=[], metavar="A", help="an argument; once for each")
    parser.add_argument("--output", "-o", action="append", default=[], metavar="Y.npy", help="where a result goes")
    add_kernel_options(parser)


def run(args: argparse.Namespace) -> int:
    """Call the kernel and print or write its results."""
    from ..compiler.bundle import load

    kernel = load_program(args.file, args) if args.file.endswith(".mlir") else load(args.file)
    if len(args.input) != len(kernel.free):
        wanted = ", ".join(f"{p.name}: {_described(p)}" for p in kernel.free) or "none"
        raise ArgumentError(
            f"expects {len(kernel.free)} inputs, got {len(args.input)}", where=kernel.name, hint=f"it takes {wanted}"
        )
    values = [_read(text, param) for text, param in zip(args.input, kernel.free)]
    _deliver(_results(kernel, values), args.output)
    return 0


def _read(text: str, param: Param) -> Any:
    """The value of one ``--input``."""
    import numpy as np

    if param.kind == "number":
        return _number(text, param)
    if not text.endswith(".npy"):
        from ..io import read
        from ..runtime import numpy_dtype

        tensor = read(text, field_as=numpy_dtype(param.dtype))
        return tensor.to_dense() if param.format is None else tensor.to(param.format)
    try:
        array = np.load(text, allow_pickle=False)
    except (ValueError, EOFError) as e:
        raise FileFormatError(f"is not a .npy file: {e}", where=text) from e
    if param.format is None:
        return array
    from ..sparse import compress

    return compress(array, param.format)


def _number(text: str, param: Param) -> int | float:
    try:
        return float(text) if param.dtype.startswith(("f", "bf")) else int(text)
    except ValueError as e:
        raise ArgumentError(f"expects a number ({param.dtype}), got {text!r}", where=param.name) from e


def _results(kernel: Kernel, values: Sequence[Any]) -> list[Any]:
    """What the call returns, or what it wrote to."""
    result = kernel(*values)
    if result is None:
        written = {spec.name for spec in kernel.signature.args if getattr(spec, "writable", False)}
        return [value for value, param in zip(values, kernel.free) if param.name in written]
    return list(result) if isinstance(result, tuple) else [result]


def _deliver(results: Sequence[Any], outputs: Sequence[str]) -> None:
    import numpy as np

    if not outputs:
        for result in results:
            sys.stdout.write(f"{result}\n")
        return
    if len(outputs) != len(results):
        raise ArgumentError(f"the kernel has {len(results)} results, got {len(outputs)} --output", where="pith run")
    for path, result in zip(outputs, results):
        with open(path, "wb") as file:
            np.save(file, result, allow_pickle=False)


def _described(param: Param) -> str:
    if param.kind == "number":
        return param.dtype
    shape = "x".join("?" if size < 0 else str(size) for size in param.shape)
    stored = "" if param.format is None else f" in {param.format}"
    return f"{shape}x{param.dtype}{stored}" if shape else param.dtype
