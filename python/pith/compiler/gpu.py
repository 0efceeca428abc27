"""GPU kernels: call them where there is a GPU (or an emulated one), look at their IR, save them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, UnsupportedError
from ..programs import Launch, Program
from ..programs.chips import CHIPS
from ..programs.occupancy import occupancy
from ..runtime.cuda import DeviceProgram, Graph, capture
from .params import Param
from .sizes import SizeCheck, SizeRules

#: Levels of the GPU path, highest first; ``sass`` is ``ptxas``'s and a disassembler's.
LEVELS = ("pith", "gpu", "nvvm", "llvm", "ptx", "sass")


class GpuKernel:
    """A compiled function whose kernels run on a GPU.

    Called with PyTorch or CuPy arrays, or others with ``__cuda_array_interface__`` or DLPack, on one device; with
    :class:`pith.SparseTensor` and :class:`pith.Pattern` for sparse arguments, copied to the device once. Results
    are arrays of the same kind, complete when the stream gets there: nothing waits. NumPy arrays are refused:
    :func:`pith.runtime.cuda.to_device` copies them. For ``emulate:`` targets arguments and results are arrays of the
    host.

    Attributes:
        target: the architecture, e.g. ``sm_90``, or ``emulate:sm_90``.
        program: a :class:`pith.programs.Program`: operands, buffers, launches.
        params: what it takes, bound parameters included.
        bound: values of the parameters bound at compile time, by position.
        sizes: what a call's dynamic sizes must obey (:mod:`pith.compiler.sizes`).
        ptx: the kernels, as text.
        cubin: the kernels as machine code, where that was made.
        emulator: what runs the program in place of a device, for ``emulate:`` targets, else None.

    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`, :class:`pith.ArgumentError`
        and :class:`pith.FormatError`, each naming the argument, before anything ran; :class:`pith.NoGpuError`,
        :class:`pith.GpuArchitectureError`, :class:`pith.GpuMemoryError`, :class:`pith.GpuLaunchError`.
    """

    def __init__(
        self,
        source: str,
        target: str,
        program: Program,
        params: Sequence[Param],
        ptx: str,
        *,
        cubin: bytes = b"",
        bound: Mapping[int, Any] | None = None,
        sizes: SizeRules | None = None,
        levels: Mapping[str, str] | None = None,
        run: Any = None,
    ):
        self.source, self.target, self.program = source, target, program
        self.params, self.ptx, self.cubin = tuple(params), ptx, cubin
        self.bound, self.sizes = dict(bound or {}), sizes or SizeRules()
        self._free = tuple(p for i, p in enumerate(self.params) if i not in self.bound)
        shapes = {i: tuple(getattr(value, "shape", ())) for i, value in self.bound.items()}
        check = SizeCheck(self.sizes, self.params, shapes, program.name) if self.sizes else None
        self._levels = {"pith": source, **({"ptx": ptx} if ptx else {}), **(levels or {})}
        self.emulator = run
        self._run = self._runner(check)

    def _runner(self, check: SizeCheck | None) -> Any:
        """What calls the program: the device, or the emulator in its place."""
        if self.emulator is not None:
            from .gpu_host import HostProgram

            return HostProgram(self.program, self.params, self.emulator, self.bound, check)
        images = [image for image in (self.cubin, self.ptx.encode()) if image]
        return DeviceProgram(self.program, self.params, images, self.bound, check)

    def __repr__(self) -> str:
        names = ", ".join(p.name for p in self._free)
        return f"<pith GPU kernel {self.name}({names}) for {self.target}>"

    @property
    def name(self) -> str:
        """The function it was."""
        return self.program.name

    @property
    def free(self) -> tuple[Param, ...]:
        """The parameters a call takes: those that are not bound, in order."""
        return self._free

    @property
    def written(self) -> frozenset[str]:
        """Names of the parameters the kernels write to."""
        numbers = {int(o.name.partition(".")[0]) for o in self.program.arguments if o.written}
        return frozenset(self.params[i].name for i in numbers)

    @property
    def launches(self) -> tuple[Launch, ...]:
        """Its launches in order: grid, block, shared memory and arguments, as expressions of run-time sizes."""
        return self.program.launches

    def __call__(self, *args: Any, stream: Any = None) -> Any:
        """Start the kernels on ``stream``, by default PyTorch's or CuPy's current one; returns the results."""
        if len(args) != len(self._free):
            raise self._other_count(args)
        return self._run(args, stream)

    def capture(self, *args: Any) -> Graph:
        """Record a call as a CUDA graph; its ``replay()`` starts all kernels with one driver call.

        Semantics: every replay reads the same arguments, as they are then, and writes the same results.
        Errors: those of a call; :class:`pith.UnsupportedError` for emulated targets.
        """
        if not isinstance(self._run, DeviceProgram):
            raise UnsupportedError(f"{self.target} has no graphs", hint="call the kernel")
        if len(args) != len(self._free):
            raise self._other_count(args)
        return capture(self._run, args)

    def _other_count(self, args: Sequence[Any]) -> ArgumentError:
        names = ", ".join(p.name for p in self._free)
        return ArgumentError(f"expects {len(self._free)} arguments ({names}), got {len(args)}", where=self.name)

    def bind(self, values: Mapping[int, Any]) -> GpuKernel:
        """This kernel with parameters fixed, by position; nothing is compiled. A device gets them on its first call.

        Errors: :class:`pith.FormatError` and :class:`pith.ShapeError` for sparse tensors that do not fit.
        """
        for i, value in values.items():
            if self.params[i].kind == "encoded":
                self.params[i].tensor(getattr(value, "tensor", value), f"{self.name}: {self.params[i].name!r}")
        return self._with(bound={**self.bound, **values})

    def with_machine_code(self) -> GpuKernel:
        """This kernel with machine code beside its PTX: it starts without the driver's assembler.

        Errors: :class:`pith.ToolError` when ``ptxas`` is missing or refuses the PTX.
        """
        return self if self.cubin else self._with(cubin=self._assembled().cubin)

    def with_sizes(self, sizes: SizeRules) -> GpuKernel:
        """This kernel with rules for dynamic sizes added to its own."""
        return self._with(sizes=self.sizes | sizes)

    def with_names(self, names: Mapping[int, str]) -> GpuKernel:
        """This kernel with other names of parameters, by position: what errors call them."""
        return self._with(params=[dataclasses.replace(p, name=names.get(i, p.name)) for i, p in enumerate(self.params)])

    def _with(self, **changes: Any) -> GpuKernel:
        kept = {"cubin": self.cubin, "bound": self.bound, "sizes": self.sizes, "levels": self._levels}
        options = {**kept, "run": self.emulator, **changes}
        params = options.pop("params", self.params)
        return GpuKernel(self.source, self.target, self.program, params, self.ptx, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write kernels and bound parameters to one file; :func:`pith.load` runs it without a compiler.

        Errors: :class:`pith.UnsupportedError` for emulated targets; :class:`pith.MissingFileError` and
            :class:`pith.FileAccessError`.
        """
        from .bundle import save

        save([self], path)

    def ir(self, level: str) -> str:
        """The IR at ``pith``, ``gpu``, ``nvvm``, ``llvm`` (LLVM IR), ``ptx`` or ``sass`` (machine code).

        Errors: :class:`pith.UnsupportedError` for an unknown level; :class:`pith.ToolError` for ``sass`` where
            ``ptxas`` or a disassembler is missing.
        """
        if level not in LEVELS:
            raise UnsupportedError(f"no level {level!r} on the GPU path", hint="one of " + ", ".join(LEVELS))
        if level not in self._levels and level == "sass":
            from ..tools.disassembly import GPU

            self._levels["sass"] = GPU.disassemble(self.cubin or self._assembled().cubin)
        if level not in self._levels:  # it came from the cache or a file, or was made for the emulator
            from .gpu_build import levels_of

            self._levels = {**levels_of(self.source, self.program.target), **self._levels}
        return self._levels[level]

    def dump(self, directory: str | os.PathLike[str], levels: Sequence[str] = LEVELS[:-1]) -> pathlib.Path:
        """Write the IR of ``levels`` below ``directory``, one numbered file each; returns the directory.

        Errors: :class:`pith.UnsupportedError` for an unknown level; those of the operating system.
        """
        from .build import write_levels

        return write_levels({level: self.ir(level) for level in levels}, directory)

    def explain(self) -> str:
        """Per launch: arguments, grid, block, shared memory and plan.

        With ``ptxas`` also registers, spills, and how many blocks a multiprocessor holds.
        """
        from ..errors import ToolError
        from ..tools.ptxas import find_ptxas

        resources = {}
        if self.ptx and find_ptxas() is not None:
            try:
                assembled = self._assembled()
                resources = {k: (n, assembled.spill_bytes.get(k, 0)) for k, n in assembled.registers.items()}
            except ToolError as error:
                return f"{self._launches_text({})}\nptxas refuses the kernels: {error.message}"
        return self._launches_text(resources)

    def _launches_text(self, resources: Mapping[str, tuple[int, int]]) -> str:
        program = self.program
        lines = []
        for number, launch in enumerate(program.launches):
            names = (program.operands[o].name if isinstance(o, int) else str(o) for o in launch.operands)
            lines.append(f"[{number}] {launch.kernel}({', '.join(names)})")
            grid = ", ".join(map(str, launch.grid))
            threads = launch.block[0] * launch.block[1] * launch.block[2]
            lines.append(f"    grid ({grid}), {threads} threads, {launch.shared_bytes} bytes of shared memory")
            if launch.note:
                lines.append(f"    {launch.note}")
            if launch.kernel in resources:
                registers, spilled = resources[launch.kernel]
                lines.append(f"    {registers} registers a thread, {spilled or 'no'} bytes spilled (ptxas)")
                resident = occupancy(CHIPS[program.target], threads, registers, launch.shared_bytes)
                lines.append(f"    {resident}, {resident.warps} warps")
        return "\n".join(lines)

    def _assembled(self) -> Any:
        from ..tools.ptxas import assemble

        return assemble(self.ptx, self.program.target)
