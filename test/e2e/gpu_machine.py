"""A machine without pith's compiler, for packages: what it lacks cannot be imported, a stand-in driver runs launches.

:func:`equip` writes a ``sitecustomize`` that turns every Python started beside it into such a machine. Its device
multiplies f32 matrices; all other kernels do nothing.
"""

from __future__ import annotations

import ctypes
import importlib.abc
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

#: What a GPU machine does not have.
MISSING = ("torch_mlir", "llvmlite", "platformdirs")

_SITE = """
import sys
import gpu_machine
gpu_machine.become(worker="bench.gpu.worker" in sys.orig_argv)
"""


def equip(folder: pathlib.Path) -> dict[str, str]:
    """The environment of such a machine, made below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITE)
    here = pathlib.Path(__file__).parent
    path = os.pathsep.join(map(str, (folder, here, here.parent / "unit")))
    return {**os.environ, "PYTHONPATH": path, "PITH_CACHE_DIR": str(folder / "cache")}


class _Refusal(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in MISSING:
            raise ImportError(f"there is no {name} on a GPU machine")


def become(worker: bool) -> None:
    """Take away what is missing and the checkout (an editable install finds it); workers get a device."""
    finders = [f for f in sys.meta_path if "editable" not in type(f).__module__]
    sys.meta_path[:] = [_Refusal(), *finders]
    if worker:
        from cuda_stand_in import standing_in

        global _open
        _open = standing_in()
        _open.__enter__().kernels = _multiply


_open: Any = None


def _multiply(launch: Any) -> None:
    """A kernel of three f32 matrices multiplies the first two into the third; see ``pith.programs.program``."""
    if "matmul" not in launch.kernel or len(launch.values) != 21 or launch.values[17] != 64:
        return  # all other products that tests pack have other sizes, and other types
    a, b, out = (_matrix(launch.values[i : i + 7]) for i in (0, 7, 14))
    out[...] = a @ b


def _matrix(values: Mapping[int, int] | tuple[int, ...]) -> np.ndarray:
    _, address, _, rows, columns, _, _ = values
    memory = (ctypes.c_float * (rows * columns)).from_address(address)
    return np.frombuffer(memory, np.float32).reshape(rows, columns)
