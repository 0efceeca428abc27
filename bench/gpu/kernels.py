"""Where kernels come from: files beside this package, or, where the compiler is, its emulated device."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .cases import CASES, Case
from .problems import Problem
from .tile_programs import dense_case

#: In a package: which kernels there are, and why others are missing.
MANIFEST = "manifest.json"

#: Folder of the kernels.
FOLDER = "kernels"

Bind = Callable[[Problem], Callable[[], Sequence[torch.Tensor]]]


class NotBuiltError(Exception):
    """A kernel that the compiler refused when the package was made; its message is the compiler's."""


class Packed:
    """The kernels of a package.

    Args:
        copying: operands are on the host, and copied to the device for every call: to try the harness, not to time.
    """

    def __init__(self, package: pathlib.Path, copying: bool = False):
        self._package, self._copying = package, copying
        self._loaded: dict[str, Any] = {}
        self.manifest: dict[str, Any] = json.loads((package / MANIFEST).read_text())

    def load(self, name: str) -> Any:
        """The kernel of a file, loaded once. Errors: :class:`NotBuiltError`, and those of :func:`pith.load`."""
        import pith

        entry = self.manifest["kernels"].get(name, {"error": "is not in this package"})
        if "error" in entry:
            raise NotBuiltError(entry["error"])
        if name not in self._loaded:
            self._loaded[name] = pith.load(self._package / FOLDER / entry["file"])
        return self._loaded[name]

    def function(self, name: str) -> Callable[..., Any]:
        """The kernel of a file, as it is called on this machine."""
        return functools.partial(on_copies, self.load(name)) if self._copying else self.load(name)

    def case(self, name: str) -> Case:
        """The case of a name, at the sizes that this package was made for."""
        found = next(c for c in CASES if c.name == name)
        return found.scaled() if self.manifest["small"] else found

    def kernel(self, case: Case) -> Bind:
        """See :class:`bench.gpu.measure.Kernels`."""
        return binding(self.function(case.kernel))

    def dense_tiles(self, extents: tuple[int, int, int]) -> list[str]:
        """See :class:`bench.gpu.tiles.TileKernels`."""
        prefix = f"{dense_case(extents).kernel}-"
        return [name.removeprefix(prefix) for name in self.manifest["kernels"] if name.startswith(prefix)]


class Emulated:
    """Kernels compiled now and run by the emulator: what a package holds, at sizes that it can do."""

    def __init__(self, target: str):
        self._target = target

    def kernel(self, case: Case) -> Bind:
        """See :class:`bench.gpu.measure.Kernels`."""
        import pith

        from .programs import program

        return binding(pith.compile(program(case.family, case.build), target=f"emulate:{case.target or self._target}"))

    def dense_tiles(self, extents: tuple[int, int, int]) -> list[str]:
        """See :class:`bench.gpu.tiles.TileKernels`."""
        return ["64x64x128x2x2x4", "32x32x128x2x2x4"]


def binding(kernel: Any) -> Bind:
    """A kernel called with a problem's arguments; its results are tensors on the device of the arguments."""

    def bind(problem: Problem) -> Callable[[], Sequence[torch.Tensor]]:
        def call() -> Sequence[torch.Tensor]:
            results = kernel(*problem.arguments)
            return [as_tensor(r) for r in (results if isinstance(results, tuple) else (results,))]

        return call

    return bind


def on_copies(kernel: Any, *arguments: Any) -> Any:
    """The results on the host of a kernel that is called with copies of host arrays on the device."""
    from pith.runtime.cuda import to_device

    results = kernel(*(to_device(a.numpy()) if isinstance(a, torch.Tensor) else a for a in arguments))
    parts = tuple(_values(r).numpy() for r in (results if isinstance(results, tuple) else (results,)))
    return parts if isinstance(results, tuple) else parts[0]


def as_tensor(array: Any) -> torch.Tensor:
    """A result as a tensor, without a copy where it is on a device; of a sparse one its values."""
    array = _values(array)
    if isinstance(array, torch.Tensor):
        return array
    return torch.from_dlpack(array) if hasattr(array, "__dlpack__") else torch.as_tensor(array)


def _values(result: Any) -> Any:
    """The last buffer of a sparse tensor on a device, anything else as it is."""
    return result.arrays[-1] if hasattr(result, "arrays") else result
