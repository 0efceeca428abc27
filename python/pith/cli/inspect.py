"""Describe a sparse matrix or the weights of a model.

  pith inspect matrix.mtx                       how the non-zeros are spread, and what each format stores
  pith inspect matrix.mtx --format "C0(2:4)"    also one format: how full its levels are, what pruning keeps
  pith inspect matrix.mtx --png pattern.png     the pattern as a picture
  pith inspect matrix.mtx --dtype f32           as it would be with elements of that type: text is read as f64
  pith inspect model.safetensors                every weight matrix: density, tightest format, predicted speed
  pith inspect model.safetensors --tensor NAME  one of them, like a matrix

Formats are tried for what they store and how long pith.matmul is predicted to take with --columns
columns; the tightest ones are found from the pattern itself.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pith.errors import ArgumentError, FileFormatError, naming

from .arguments import positive

if TYPE_CHECKING:
    import numpy as np

    from ..sparse import SparseTensor

#: File name endings of matrices that :func:`pith.read` reads.
MATRICES = (".mtx", ".mtx.gz", ".smtx", ".npz")

#: Element types that products are predicted for, and other names of theirs.
ELEMENTS = ("f32", "bf16", "f16", "f64", "i8")
ALIASES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "float64": "f64", "int8": "i8"}

#: File name endings of models.
MODELS = (".safetensors", ".pt", ".pth", ".bin")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith inspect``."""
    parser.add_argument(
        "file", metavar="FILE", help="a matrix (.mtx, .mtx.gz, .smtx, .npz, .npy) or a model (.safetensors, .pt, .pth)"
    )
    parser.add_argument("--format", metavar="F", help='one more format, e.g. "C1(3:4)->C0(2:4)" or "bsr(8x8)"')
    parser.add_argument("--columns", type=positive, default=64, metavar="N", help="of the dense operand (default: 64)")
    parser.add_argument(
        "--dtype", metavar="T", help="take elements as f32, bf16, f16, f64 or i8, not as the type they are stored in"
    )
    parser.add_argument("--tensor", metavar="NAME", help="one tensor of a model")
    parser.add_argument("--png", type=pathlib.Path, metavar="OUT.png", help="write a picture of the pattern")
    parser.add_argument("--no-picture", action="store_true", help="leave out the picture in characters")


def run(args: argparse.Namespace) -> int:
    """Read the file and print what is known about it."""
    from ..sparse import as_format
    from .inspect_matrix import describe_matrix
    from .inspect_model import describe_model

    if args.format:
        as_format(args.format)
    if args.png is not None and args.png.suffix.lower() != ".png":
        raise ArgumentError(f"writes PNG files, got {str(args.png)!r}", where="--png", hint=f"{args.png.stem}.png")
    convert = _conversion(args.dtype)
    if not args.file.lower().endswith(MODELS):
        tensor, name = _read_matrix(args.file), args.file
    elif args.tensor is None:
        return describe_model(args.file, {n: convert(t) for n, t in read_model(args.file).items()}, args.columns)
    else:
        tensor, name = _one_tensor(args.file, args.tensor), f"{args.file}: {args.tensor}"
    _print(describe_matrix(name, convert(tensor), args))
    return 0


def _conversion(name: str | None) -> Callable[[Any], Any]:
    """What makes arrays and tensors of the type ``--dtype`` names: by the names of MLIR, NumPy and torch."""
    if name is None:
        return lambda array: array
    from ..runtime.signature import numpy_dtype

    element = ALIASES.get(name, name)
    if element not in ELEMENTS:
        raise ArgumentError(f"knows {', '.join(ELEMENTS)}, got {name!r}", where="--dtype", hint="--dtype f32")
    return lambda array: array.astype(numpy_dtype(element))


def read_model(path: str) -> dict[str, np.ndarray]:
    """The tensors of a model file by name; nothing in it is executed.

    Errors: :class:`pith.FileFormatError`, :class:`pith.FileAccessError`; :class:`pith.UnsupportedError` when
        reading it needs torch.
    """
    with naming(path):
        if path.lower().endswith(".safetensors"):
            from ..io.safetensors import read_safetensors

            return read_safetensors(pathlib.Path(path))
        from .inspect_model import read_torch_file

        return read_torch_file(path)


def _read_matrix(path: str) -> SparseTensor:
    import numpy as np

    from ..io import read

    if not path.lower().endswith(".npy"):
        if not path.lower().endswith(MATRICES):
            known = ", ".join((*MATRICES, ".npy", *MODELS))
            program = path.lower().endswith((".mlir", ".pith", ".py"))
            hint = f"pith explain {path}" if program else f"known are {known}"
            raise FileFormatError("unknown kind of file", where=path, hint=hint)
        return read(path)
    try:
        with naming(path):
            return _stored(np.load(path, allow_pickle=False))
    except (ValueError, EOFError) as e:
        raise FileFormatError(f"is not a .npy file: {e}", where=path) from e


def _one_tensor(path: str, name: str) -> SparseTensor:
    tensors = read_model(path)
    if name not in tensors:
        import difflib

        close = difflib.get_close_matches(name, tensors, n=3, cutoff=0.3) or list(tensors)[:3]
        raise FileFormatError(f"has no tensor {name!r}", where=path, hint="e.g. " + ", ".join(close))
    return _stored(tensors[name])


def _stored(array: np.ndarray) -> SparseTensor:
    """A dense array as it is looked at: in coordinates."""
    from ..formats import Format
    from ..sparse import compress

    return compress(array, Format.csr() if array.ndim == 2 else Format.coo(array.ndim))


def _print(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
