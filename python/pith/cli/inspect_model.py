"""What ``pith inspect`` says about a model: one line per weight matrix."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping

import numpy as np

from ..errors import FileFormatError, UnsupportedError
from ..formats.infer import infer
from ..progress import ProgressBar
from ..runtime import dtype_name
from ..runtime.arrays import as_array
from ..sparse import as_format
from ..tuning.problem import ELEMENT_BYTES, Problem
from .inspect_matrix import DENSE_LIMIT, tightest
from .prediction import predict, predict_dense

#: Density from which no format is looked for: metadata would outweigh what it saves.
FULL = 0.97


def read_torch_file(path: str) -> dict[str, np.ndarray]:
    """The dense tensors of a file that ``torch.save`` wrote; only tensors are unpickled.

    Errors: :class:`pith.UnsupportedError` without torch; :class:`pith.FileFormatError` for anything else
        in the file than tensors in dictionaries.
    """
    if not importlib.util.find_spec("torch"):
        raise UnsupportedError("needs torch to be read", where=path, hint="pip install 'pith-mlir[torch]'")
    import pickle

    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as e:
        hint = "save model.state_dict(), or convert it to .safetensors"
        raise FileFormatError("holds something else than tensors", where=path, hint=hint) from e
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else {}
    dense = {n: t for n, t in state.items() if isinstance(t, torch.Tensor) and t.layout is torch.strided}
    if not dense:
        raise FileFormatError("holds no tensors by name", where=path, hint="save model.state_dict()")
    return {name: as_array(tensor.detach(), path) for name, tensor in dense.items()}


def describe_model(path: str, tensors: Mapping[str, np.ndarray], columns: int) -> int:
    """Print the table as it is made; the exit status. Filters are matrices with a row per output channel."""
    matrices = {n: t for n, t in tensors.items() if t.ndim in (2, 4) and t.size and t.dtype.kind in "fiV"}
    if not matrices:
        raise FileFormatError(f"holds {len(tensors)} tensors, none of them a matrix", where=path)
    sys.stdout.write(f"{path}: {len(matrices)} matrices of {len(tensors)} tensors, N = {columns}\n\n")
    width = max(len(name) for name in matrices)
    sys.stdout.write(
        f"{'':<{width}} {'shape':>13} {'density':>8}  {'tightest':<26} {'of dense':>8}  as fast as dense\n"
    )
    totals = np.zeros(2)
    with ProgressBar() as progress:
        for number, (name, matrix) in enumerate(matrices.items()):
            progress(number / len(matrices), name)
            line, *sizes = _describe(matrix, columns)
            totals += sizes
            progress.clear()
            sys.stdout.write(f"{name:<{width}} {line}\n")
    stored, dense = totals
    sys.stdout.write(f"\nall of them: {stored / 1e6:.2f} MB of {dense / 1e6:.2f} MB dense ({stored / dense:.1%})\n")
    return 0


def _describe(matrix: np.ndarray, columns: int) -> tuple[str, int, int]:
    """The line of one matrix, bytes in its tightest format, and bytes dense."""
    shape = "x".join(map(str, matrix.shape))
    matrix = matrix.reshape(matrix.shape[0], -1)
    mask = np.asarray(matrix != 0)
    density = float(mask.mean())
    if density >= FULL or mask.size > DENSE_LIMIT:
        return f"{shape:>13} {density:>8.2%}  {'dense':<26} {1:>8.1%}  -", matrix.nbytes, matrix.nbytes
    name, nbytes, stored = tightest(infer(mask, matrix.dtype.itemsize), 1)[0]
    ratio = _ratio(name, matrix, stored, columns)
    line = f"{shape:>13} {density:>8.2%}  {name:<26} {nbytes / matrix.nbytes:>8.1%}  {ratio}"
    return line, nbytes, matrix.nbytes


def _ratio(name: str, matrix: np.ndarray, stored: int, columns: int) -> str:
    element = dtype_name(matrix.dtype)
    if element not in ELEMENT_BYTES:
        return "-"
    rows, inner = matrix.shape
    fmt = as_format(name)[0]
    full = Problem.of_format(fmt, (rows, inner), columns, element).stored
    own = predict(Problem.of_format(fmt, (rows, inner), columns, element, density=stored / max(1, full)))
    dense = predict_dense((rows, inner), columns, element)
    return f"{dense.seconds / own.seconds:.2f}x" if dense else "-"
