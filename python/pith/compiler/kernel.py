"""Compiled kernels: call them, look at their IR, ask why they are what they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, UnsupportedError
from ..runtime import Signature
from ..runtime.artifact import Artifact
from ..runtime.cache import kernel_cache
from .params import Param, flatten

#: Levels of the CPU path, highest first.
LEVELS = ("pith", "linalg", "vector", "llvm", "asm")


class Kernel:
    """A compiled function on arrays, torch tensors and :class:`pith.SparseTensor`.

    Call it with the function's arguments; parameters bound at compile time (a model's weights) are
    left out. Results are NumPy arrays, or torch tensors when an argument was one. Safe to call from
    several threads.

    Attributes:
        name: the entry function.
        params: what it takes, bound parameters included.
        bound: native arguments of the parameters bound at compile time, by position.
        native: the native function, on flat buffers.

    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError` and
    :class:`pith.FormatError`, each naming the argument; nothing has run then.
    """

    def __init__(
        self,
        source: str,
        entry: str,
        path: str,
        artifact: Artifact,
        bound: Mapping[int, Any] | None = None,
        unflatten: Callable[[Sequence[Any]], Any] | None = None,
    ):
        self.name = entry
        self.source = source
        self.path = path
        self.artifact = artifact
        self.params = tuple(Param.from_json(p) for p in artifact.meta["params"])
        self.native = artifact.function(entry)
        self._unflatten = unflatten
        self._levels: dict[str, str] = {"pith": source}
        self.bound = {i: self._flatten_bound(i, value) for i, value in (bound or {}).items()}
        self._free = tuple(p for i, p in enumerate(self.params) if i not in self.bound)

    @property
    def signature(self) -> Signature:
        """What the native function takes and returns."""
        return self.native.signature

    def __repr__(self) -> str:
        names = ", ".join(p.name for p in self._free)
        return f"<pith kernel {self.name}({names})>"

    def __call__(self, *args: Any) -> Any:
        if len(args) != len(self._free):
            names = ", ".join(p.name for p in self._free)
            raise ArgumentError(f"expects {len(self._free)} arguments ({names}), got {len(args)}", where=self.name)
        result = self.native(*self._flatten(args))
        if "torch" in sys.modules and any(_is_torch(a) for a in args):
            result = _to_torch(result)
        if self._unflatten is not None:
            result = self._unflatten(result if isinstance(result, tuple) else (result,))
        return result

    def _flatten_bound(self, number: int, value: Any) -> list[Any]:
        param = self.params[number]
        return param.flatten(value, f"{self.name}: {param.name!r}")

    def _flatten(self, args: Sequence[Any]) -> list[Any]:
        if not self.bound:
            return flatten(self._free, args, self.name)
        out: list[Any] = []
        rest = iter(args)
        for i, param in enumerate(self.params):
            bound = self.bound.get(i)
            out += bound if bound is not None else param.flatten(next(rest), f"{self.name}: argument {param.name!r}")
        return out

    def ir(self, level: str) -> str:
        """The IR at a level: ``pith``, ``linalg``, ``vector``, ``llvm`` (MLIR text) or ``asm``.

        Every MLIR level can be edited and fed back to ``pith-opt`` or :func:`pith.compile`. It is
        recomputed from the source on first use, not kept from compilation.
        Errors: :class:`pith.UnsupportedError` for an unknown level.
        """
        if level not in LEVELS:
            raise UnsupportedError(f"no level {level!r} on the CPU path", hint="one of " + ", ".join(LEVELS))
        if level not in self._levels:
            from .build import emit_assembly, lower_to

            if "llvm" not in self._levels:
                self._levels.update(lower_to(self.source, self.path))
            if level == "asm":
                self._levels["asm"] = emit_assembly(self._levels["llvm"])
        return self._levels[level]

    def explain(self) -> str:
        """Per op on sparse data: its operands' formats, what it was lowered to, and why."""
        from .explain import explain_source

        return explain_source(self.source, self.path)

    def dump(self, directory: str) -> None:
        """Write the IR of every level below ``directory``, one numbered file each."""
        from .build import write_levels

        write_levels({level: self.ir(level) for level in LEVELS if level != "asm"}, directory)


def compile_source(
    source: str,
    entry: str,
    *,
    path: str = "auto",
    bound: Mapping[int, Any] | None = None,
    unflatten: Callable[[Sequence[Any]], Any] | None = None,
) -> Kernel:
    """Compile pith-level IR text, or take it from the cache."""

    def make() -> Artifact:
        from .build import build

        return build(source, entry, path)

    artifact = kernel_cache().get_or_build({"source": source, "entry": entry, "path": path, "target": "cpu"}, make)
    return Kernel(source, entry, path, artifact, bound, unflatten)


def _is_torch(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch"


def _to_torch(result: Any) -> Any:
    import torch

    if isinstance(result, tuple):
        return tuple(torch.from_numpy(r) if hasattr(r, "shape") else r for r in result)
    return torch.from_numpy(result) if hasattr(result, "shape") else result
