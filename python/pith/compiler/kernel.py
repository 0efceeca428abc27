"""Compiled kernels: call them, look at their IR, ask why they are what they are."""

from __future__ import annotations

import importlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, CheckError, UnsupportedError
from ..lowering.isa import EMULATE, HOST, parse_isa
from ..runtime import Signature, take_failure
from ..runtime.arrays import loaded_torch
from ..runtime.artifact import Artifact
from ..runtime.cache import kernel_cache
from ..sparse import SparseTensor
from .collector import no_collection
from .params import Param, flatten
from .sizes import SizeCheck, SizeRules
from .widening import warn_of_widening

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
        sizes: what a call's dynamic sizes must obey (:mod:`pith.compiler.sizes`).
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
        bound: Mapping[int, list[Any]] | None = None,
        sizes: SizeRules | None = None,
    ):
        self.name = entry
        self.source = source
        self.path = path
        self.artifact = artifact
        self.params = tuple(Param.from_json(p) for p in artifact.meta["params"])
        self.native = artifact.function(entry)
        self._checks = artifact.meta.get("checks", {})
        self.bound = dict(bound or {})
        self.sizes = sizes or SizeRules()
        self._levels: dict[str, str] = {"pith": source}
        self._free = tuple(p for i, p in enumerate(self.params) if i not in self.bound)
        shapes = {i: self.params[i].shape_of(native) for i, native in self.bound.items()}
        self._check_sizes = SizeCheck(self.sizes, self.params, shapes, self.name) if self.sizes else None
        # Nothing to flatten: arguments go to the native function as they come.
        self._direct = not (self.bound or any(p.format is not None for p in self.params))

    @property
    def isa(self) -> str:
        """The instruction set the kernel was compiled for: ``host``, a name, or ``emulate:`` and a name."""
        return self.artifact.meta.get("isa", HOST)

    @property
    def target(self) -> str:
        """What :func:`pith.compile` was given: ``cpu``, ``cpu:avx2``, ``emulate:amx``."""
        return "cpu" if self.isa == HOST else self.isa if self.isa.startswith(EMULATE) else f"cpu:{self.isa}"

    @property
    def signature(self) -> Signature:
        """What the native function takes and returns."""
        return self.native.signature

    def __repr__(self) -> str:
        names = ", ".join(p.name for p in self._free)
        return f"<pith kernel {self.name}({names})>"

    def __reduce__(self) -> Any:
        raise UnsupportedError(
            "kernels are machine code in this process: they are not pickled, nor copied deeply",
            where=self.name,
            hint="k.save(path), and pith.load(path) where it is needed",
        )

    def __call__(self, *args: Any) -> Any:
        if len(args) != len(self._free):
            names = ", ".join(p.name for p in self._free)
            hint = None
            if any(isinstance(a, SparseTensor) for a in args) and not any(p.format for p in self._free):
                hint = "below the level pith an operand is its flat buffers: pass *A.buffers in place of A"
            raise ArgumentError(
                f"expects {len(self._free)} arguments ({names}), got {len(args)}", where=self.name, hint=hint
            )
        if self._check_sizes is not None:
            self._check_sizes(args)
        if self._direct and SparseTensor not in map(type, args):
            result = self.native(*args)
        else:
            result = self.native(*self._flatten(args))
        if self._checks and (failure := take_failure()):
            raise CheckError(self._checks.get(str(failure), "a check in another kernel failed"), where=self.name)
        return _to_torch(result) if result is not None and _any_torch(args) else result

    @property
    def free(self) -> tuple[Param, ...]:
        """The parameters a call takes: those that are not bound, in order."""
        return self._free

    @property
    def written(self) -> frozenset[str]:
        """Names of the parameters the function writes to."""
        return frozenset(spec.name for spec in self.signature.args if getattr(spec, "writable", False))

    def bind(self, values: Mapping[int, Any]) -> Kernel:
        """This kernel with parameters fixed, by position; the code is shared and nothing is compiled.

        Errors: :class:`pith.FormatError` and :class:`pith.ShapeError` for sparse tensors that do not
            fit; dense arrays are checked by every call.

        Example:
            >>> import numpy as np, pith
            >>> k = pith.compile('''func.func @sub(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
            ...   %z = arith.subf %x, %y : tensor<?xf32>
            ...   return %z : tensor<?xf32>
            ... }''')
            >>> k.bind({1: np.ones(2, np.float32)})(np.array([3.0, 4.0], np.float32))
            array([2., 3.], dtype=float32)
        """
        bound = dict(self.bound)
        for i, value in values.items():
            param = self.params[i]
            bound[i] = param.flatten(value, f"{self.name}: {param.name!r}")
        return Kernel(self.source, self.name, self.path, self.artifact, bound, self.sizes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write code and bound parameters to one file; :func:`pith.load` runs it without a compiler.

        Errors: :class:`pith.MissingFileError`, :class:`pith.FileAccessError`; a file that was there is replaced only
            by a whole one.
        """
        from .bundle import save

        save([self], path)

    def with_sizes(self, sizes: SizeRules) -> Kernel:
        """This kernel with rules for dynamic sizes (:mod:`pith.compiler.sizes`) added to its own."""
        return Kernel(self.source, self.name, self.path, self.artifact, self.bound, self.sizes | sizes)

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
        """The IR at a level: ``pith``, ``linalg``, ``vector``, ``llvm`` (MLIR text), or ``asm``, the code that runs.

        Every MLIR level can be edited and fed back to ``pith-opt``, those above ``llvm`` also to
        :func:`pith.compile`; from ``linalg`` on, sparse tensors are their flat buffers. It is
        recomputed from the source on first use, not kept from compilation.
        Errors: :class:`pith.UnsupportedError` for an unknown level.
        """
        if not isinstance(level, str) or level not in LEVELS:
            raise UnsupportedError(f"no level {level!r} on the CPU path", hint="one of " + ", ".join(LEVELS))
        if level not in self._levels:
            if level == "asm":
                self._levels["asm"] = self._assembly()
            else:
                from .build import lower_to

                self._levels.update(lower_to(self.source, self.path, self.isa))
        return self._levels[level]

    def _assembly(self) -> str:
        """The code that runs; without a disassembler, what llvmlite's LLVM makes of the same IR."""
        from ..tools.disassembly import CPU

        if CPU.find():
            return CPU.disassemble(self.artifact.object)
        from .build import emit_assembly

        return f"# close to the code that runs; to see that: {CPU.install}\n{emit_assembly(self.ir('llvm'))}"

    def explain(self, names: Mapping[int, str] | None = None, located: str | None = None) -> str:
        """Per op on sparse data: its operands' formats, what it was lowered to, and why.

        Args:
            names: of parameters by position, where they have better ones than the program's.
            located: the program with locations, where there is more than its text to tell.
        """
        from .explain import explain_source

        source = located or self.source
        return explain_source(source, self.path, self.isa, entry=self.name, names=names, bound=self.bound)

    def dump(self, directory: str | os.PathLike[str], levels: Sequence[str] = LEVELS[:-1]) -> pathlib.Path:
        """Write the IR of ``levels`` below ``directory``, one numbered file each; returns the directory.

        Errors: :class:`pith.UnsupportedError` for an unknown level; those of the operating system.
        """
        from .build import write_levels

        return write_levels({level: self.ir(level) for level in levels}, directory)


def compile_source(
    source: str,
    entry: str,
    *,
    path: str = "auto",
    isa: str = HOST,
) -> Kernel:
    """Compile pith-level IR text for an instruction set of the host's, or take it from the cache."""

    def make() -> Artifact:
        from .build import build

        with no_collection():
            return build(source, entry, path, isa)

    warn_of_widening(source, parse_isa(isa))
    key = {"source": source, "entry": entry, "path": path, "isa": isa, "features": parse_isa(isa).name}
    artifact = kernel_cache().get_or_build(key, make)
    return Kernel(source, entry, path, artifact)


def _any_torch(args: Sequence[Any]) -> bool:
    torch = loaded_torch()
    if torch is None:
        return False
    tensor = torch.Tensor
    for a in args:  # a generator takes 0.6 us
        if isinstance(a, tensor):
            return True
    return False


def _to_torch(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(as_torch(r) if isinstance(r, np.ndarray) else r for r in result)
    return as_torch(result) if isinstance(result, np.ndarray) else result


def as_torch(array: np.ndarray) -> Any:
    """A torch tensor over an array; NumPy has no bfloat16 of its own that torch would take."""
    torch = loaded_torch() or importlib.import_module("torch")  # an import statement takes 0.4 us
    if array.dtype.kind == "V" and array.dtype.name == "bfloat16":  # the name alone takes NumPy 5 us to make
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)
