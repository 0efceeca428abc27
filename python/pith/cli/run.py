"""Run a compiled kernel, an MLIR file or a PyTorch module on arrays.

  pith run f.pith --input x.npy                     print the result
  pith run f.pith --target cpu --input x.npy        not the best target of the file for this machine, but this one
  pith run f.mlir --input w.mtx --input x.npy --output y.npy
  pith run model.py:build --input x.npy             the module that build() returns, see pith compile

Inputs come in the order of the function's arguments: .npy files, numbers, and for sparse arguments
.mtx, .smtx or .npz files, converted to the argument's format; for patterns a .npy mask of micro-tiles, or their
coordinates. Of a function without results the arguments it writes to are the results. For a GPU inputs are
copied there, and results back.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pith.errors import ArgumentError, FileFormatError, FormatError, NoGpuError
from pith.named_formats import short_name

from .compile import add_kernel_options, is_program, load_program

if TYPE_CHECKING:
    from ..compiler.params import Param


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith run``."""
    parser.add_argument(
        "file", metavar="FILE", help="a kernel file (pith compile -o), a .mlir file, or FILE.py:FUNCTION"
    )
    parser.add_argument("--input", "-i", action="append", default=[], metavar="A", help="an argument; once for each")
    parser.add_argument("--output", "-o", action="append", default=[], metavar="Y.npy", help="where a result goes")
    parser.add_argument(
        "--target",
        help="cpu, cpu:ISA, emulate:ISA, or a GPU architecture such as sm_90 (default: cpu; of a kernel file the best)",
    )
    add_kernel_options(parser)


def run(args: argparse.Namespace) -> int:
    """Call the kernel and print or write its results."""
    from ..compiler.bundle import load

    if is_program(args.file):
        program = load_program(args.file, args, args.target or "cpu")
        kernel = program.saved() if hasattr(program, "saved") else program
    else:
        kernel = load(args.file, args.target)
    if len(args.input) != len(kernel.free):
        wanted = ", ".join(f"{p.name}: {_described(p)}" for p in kernel.free) or "none"
        raise ArgumentError(
            f"expects {len(kernel.free)} inputs, got {len(args.input)}", where=kernel.name, hint=f"it takes {wanted}"
        )
    values = [_read(text, param) for text, param in zip(args.input, kernel.free)]
    try:
        results = _results(kernel, values)
    except NoGpuError as error:
        if is_program(args.file):
            raise
        raise NoGpuError(error.message, where=args.file, hint=_without_gpu(args.file)) from error
    _deliver(results, args.output)
    return 0


def _without_gpu(file: str) -> str:
    """What to do with a kernel file where there is no GPU."""
    from ..compiler.bundle import targets

    for target in targets(file):
        if not target.startswith("sm_"):
            return f"--target {target} runs it on the processor"
    return "run it where there is a GPU, or compile it for the CPU too: pith compile ... --target cpu"


def _read(text: str, param: Param) -> Any:
    """The value of one ``--input``; errors name it."""
    try:
        return _value(text, param)
    except FormatError as e:
        where = f"{text} ({param.name}): {e.where}" if e.where else f"{text} ({param.name})"
        raise FormatError(e.message, where=where, hint=e.hint) from e


def _value(text: str, param: Param) -> Any:
    if param.kind == "number":
        return _number(text, param)
    if not text.endswith(".npy"):
        from ..io import read
        from ..runtime import numpy_dtype

        tensor = read(text, field_as=numpy_dtype(param.dtype))
        return tensor.to_dense() if param.format is None else tensor.to(param.format)
    array = _array(text)
    if param.kind == "pattern":
        return _pattern(array, text, param)
    if param.format is None:
        return array
    from ..sparse import compress

    return compress(array, param.format)


def _array(text: str) -> Any:
    import numpy as np

    try:
        return np.load(text, allow_pickle=False)
    except (ValueError, EOFError) as e:
        raise FileFormatError(f"is not a .npy file: {e}", where=text) from e


def _pattern(array: Any, text: str, param: Param) -> Any:
    """A mask over elements, or coordinates of micro-tiles where the parameter knows its sizes."""
    from ..patterns import Pattern

    if array.dtype == bool:
        return Pattern.from_mask(array, param.granularity)
    if any(size < 0 for size in param.shape):
        raise ArgumentError(
            f"coordinates do not tell the sizes of {param.name!r}", where=text, hint="give a mask: a .npy of booleans"
        )
    return Pattern.from_indices(array, param.shape, param.granularity)


def _number(text: str, param: Param) -> int | float:
    try:
        return float(text) if param.dtype.startswith(("f", "bf")) else int(text)
    except ValueError as e:
        raise ArgumentError(f"expects a number ({param.dtype}), got {text!r}", where=param.name) from e


def _results(kernel: Any, values: Sequence[Any]) -> list[Any]:
    """What the call returns, or what it wrote to; arrays of the host."""
    if hasattr(kernel, "capture") and not kernel.target.startswith("emulate:"):
        return [r.numpy() for r in _called(kernel, [_on_device(v, p) for v, p in zip(values, kernel.free)])]
    return _called(kernel, values)


def _called(kernel: Any, values: Sequence[Any]) -> list[Any]:
    result = kernel(*values)
    if result is None:
        return [value for value, param in zip(values, kernel.free) if param.name in kernel.written]
    return list(result) if isinstance(result, tuple) else [result]


def _on_device(value: Any, param: Param) -> Any:
    from ..runtime.cuda import to_device

    return value if param.kind == "number" else to_device(value)


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
    if param.kind == "pattern":
        return f"a pattern over {shape}"
    stored = "" if param.format is None else f" in {short_name(param.format)}"
    return f"{shape}x{param.dtype}{stored}" if shape else param.dtype
