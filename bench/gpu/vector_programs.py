"""Kernels of one warp and one matrix instruction, at the gpu level: who holds what is all that they show.

Every lane loads its registers from a row of its own, so that neither the emulator nor the GPU is told where an element
of a matrix lies; the instruction decides. Inputs are small integers: sums are exact, results compared bit by bit.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any, Protocol

WARP = 32

#: Elements of a row that a lane addresses for ldmatrix, and bytes of all rows.
_ROW, _SHARED = 8, WARP * 16


@dataclasses.dataclass(frozen=True)
class Fragment:
    """Registers of one operand: ``registers`` of ``lanes`` elements each, in every one of the threads.

    >>> Fragment("a", 4, 2, "f16").vector, Fragment("a", 4, 2, "f16").memref
    ('vector<4x2xf16>', 'memref<32x8xf16>')
    """

    name: str
    registers: int
    lanes: int
    element: str
    threads: int = WARP

    @property
    def size(self) -> int:
        """Elements of a lane."""
        return self.registers * self.lanes

    @property
    def vector(self) -> str:
        return f"vector<{self.registers}x{self.lanes}x{self.element}>"

    @property
    def memref(self) -> str:
        return f"memref<{self.threads}x{self.size}x{self.element}>"


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: unique.
        inputs: what it reads; of ``ldmatrix`` the row that each lane addresses.
        output: what it gives.
        text: of the op, on ``%a``, ``%b``, ``%c`` and ``%e`` (metadata).
        chip: the only one that has it; empty: all have.
    """

    name: str
    inputs: tuple[Fragment, ...]
    output: Fragment
    text: str
    chip: str = ""

    def source(self, chip: str = "sm_90") -> str:
        """The module: a kernel, and the host function that launches it."""
        operands = [*self.inputs, self.output]
        typed = ", ".join(f"%{f.name}_m: {f.memref}" for f in operands)
        loads = "".join(_ldmatrix_source(f) if f.name == "s" else _load(f) for f in self.inputs)
        return f"""module attributes {{gpu.container_module}} {{
  gpu.module @fragments [#nvvm.target<chip = "{chip}">] {{
    gpu.func @warp_kernel({typed}) kernel attributes {{known_block_size = array<i32: {WARP}, 1, 1>}} {{
      %lane = gpu.thread_id x
{loads}      {self.text}
{_store(self.output)}      gpu.return
    }}
  }}
  func.func @warp({typed} {{bufferization.writable = true}}) -> {self.output.memref} {{
    %one = arith.constant 1 : index
    %threads = arith.constant {WARP} : index
    %shared = arith.constant {_SHARED} : i32
    gpu.launch_func @fragments::@warp_kernel blocks in (%one, %one, %one) threads in (%threads, %one, %one)
        dynamic_shared_memory_size %shared args({", ".join(f"%{f.name}_m : {f.memref}" for f in operands)})
    return %{self.output.name}_m : {self.output.memref}
  }}
}}
"""


def _load(f: Fragment) -> str:
    """``%name``: the lane's row as a fragment; of metadata as a vector of rank 1."""
    vector = f.vector if f.registers > 1 or f.name != "e" else f"vector<{f.lanes}x{f.element}>"
    lines = [f"%{f.name}_0 = arith.constant dense<{_zero(f.element)}> : {vector}"]
    for i in range(f.size):
        at = f"{i // f.lanes}, {i % f.lanes}" if vector == f.vector else str(i)
        lines += [
            f"%{f.name}_i{i} = arith.constant {i} : index",
            f"%{f.name}_x{i} = memref.load %{f.name}_m[%lane, %{f.name}_i{i}] : {f.memref}",
            f"%{f.name}_{i + 1} = vector.insert %{f.name}_x{i}, %{f.name}_{i} [{at}] : {f.element} into {vector}",
        ]
    return "".join(f"      {line}\n" for line in lines).replace(f"%{f.name}_{f.size} =", f"%{f.name} =")


def _ldmatrix_source(f: Fragment) -> str:
    """``%s``: the lanes' rows in shared memory."""
    shared = f"memref<{WARP}x{f.size}x{f.element}, #gpu.address_space<workgroup>>"
    dynamic = "memref<?xi8, #gpu.address_space<workgroup>>"
    lines = [f"%bytes = gpu.dynamic_shared_memory : {dynamic}", "%zero = arith.constant 0 : index"]
    lines += [f"%s = memref.view %bytes[%zero][] : {dynamic} to {shared}"]
    for i in range(f.size):
        lines += [
            f"%s_i{i} = arith.constant {i} : index",
            f"%s_x{i} = memref.load %s_m[%lane, %s_i{i}] : {f.memref}",
            f"memref.store %s_x{i}, %s[%lane, %s_i{i}] : {shared}",
        ]
    return "".join(f"      {line}\n" for line in [*lines, "gpu.barrier"])


def _store(f: Fragment) -> str:
    lines = []
    for i in range(f.size):
        lines += [
            f"%o_i{i} = arith.constant {i} : index",
            f"%o_x{i} = vector.extract %d[{i // f.lanes}, {i % f.lanes}] : {f.element} from {f.vector}",
            f"memref.store %o_x{i}, %{f.name}_m[%lane, %o_i{i}] : {f.memref}",
        ]
    return "".join(f"      {line}\n" for line in lines)


def _zero(element: str) -> str:
    return "0.0" if "f" in element else "0"


def _mma(element: str, k: int, lanes: int, registers: tuple[int, int], sums: str, options: str = "") -> Instruction:
    a, b = (Fragment(n, r, lanes, element) for n, r in zip("ab", registers))
    c, d = Fragment("c", 2, 2, sums), Fragment("d", 2, 2, sums)
    types = f"({a.vector}, {b.vector}, {c.vector}) -> {d.vector}"
    text = f"%d = nvgpu.mma.sync (%a, %b, %c) {{mmaShape = [16, 8, {k}]{options}}} : {types}"
    return Instruction(f"mma.m16n8k{k}.{element}.{sums}", (a, b, c), d, text)


def _mma_sp(element: str, k: int, lanes: int, sums: str, selector: int) -> Instruction:
    a, b = (Fragment(n, 4, lanes, element) for n in "ab")
    c, e, d = Fragment("c", 2, 2, sums), Fragment("e", 1, 2, "i16"), Fragment("d", 2, 2, sums)
    types = f"({a.vector}, {b.vector}, {c.vector}) -> {d.vector}"
    options = f"mmaShape = [16, 8, {k}], sparsitySelector = {selector} : i32"
    text = f"%d = nvgpu.mma.sp.sync(%a, %b, %c) metadata(%e) {{{options}}} : {types}"
    return Instruction(f"mma.sp.m16n8k{k}.{element}.{sums}.selector{selector}", (a, b, c, e), d, text)


def _ldmatrix(count: int, transpose: bool) -> Instruction:
    s, d = Fragment("s", 1, _ROW, "f16"), Fragment("d", count, 2, "f16")
    shared = f"memref<{WARP}x{_ROW}xf16, #gpu.address_space<workgroup>>"
    options = f"numTiles = {count} : i32, transpose = {str(transpose).lower()}"
    text = f"%d = nvgpu.ldmatrix %s[%lane, %zero] {{{options}}} : {shared} -> {d.vector}"
    return Instruction(f"ldmatrix.x{count}{'.trans' if transpose else ''}", (s,), d, text)


INSTRUCTIONS: tuple[Instruction, ...] = (
    _mma("f16", 16, 2, (4, 2), "f32"),
    _mma("f16", 16, 2, (4, 2), "f16"),
    _mma("f16", 8, 2, (2, 1), "f32"),
    _mma("bf16", 16, 2, (4, 2), "f32"),
    _mma("f32", 8, 1, (4, 2), "f32", ", tf32Enabled"),
    _mma("f32", 4, 1, (2, 1), "f32", ", tf32Enabled"),
    _mma("i8", 32, 4, (4, 2), "i32"),
    *(_mma_sp("f16", 32, 2, "f32", selector) for selector in (0, 1)),
    *(_mma_sp("bf16", 32, 2, "f32", selector) for selector in (0, 1)),
    _mma_sp("i8", 64, 4, "i32", 0),
    *(_ldmatrix(count, transpose) for count in (1, 2, 4) for transpose in (False, True)),
)

#: Instructions of a warp and those of a warpgroup are recorded by a job each: a fault of one takes its device along.
VECTOR_JOBS = ("fragments", "warpgroups")


class AnyInstruction(Protocol):
    """What is recorded."""

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> tuple[Fragment, ...]: ...

    @property
    def output(self) -> Fragment: ...

    @property
    def chip(self) -> str: ...

    def source(self, chip: str = ...) -> str: ...


def instructions(*jobs: str) -> list[AnyInstruction]:
    """What some of :data:`VECTOR_JOBS` record: instructions of a warp, and of four; all without a job.

    >>> len(instructions()) == len(instructions("fragments")) + len(instructions("warpgroups"))
    True
    """
    from .warpgroup_programs import WARPGROUP_INSTRUCTIONS

    known: dict[str, tuple[AnyInstruction, ...]] = dict(zip(VECTOR_JOBS, (INSTRUCTIONS, WARPGROUP_INSTRUCTIONS)))
    return [instruction for job in jobs or VECTOR_JOBS for instruction in known[job]]


def kernel_name(instruction: AnyInstruction) -> str:
    """Of its file."""
    return f"vectors-{instruction.name}"


def vector_kernels(folder: pathlib.Path, target: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Compile and save all of them; (name, entry of the manifest)."""
    import pith

    for instruction in instructions():
        path = folder / f"{kernel_name(instruction)}.pith"
        chip = instruction.chip if instruction.chip.startswith(target) else target
        try:
            pith.compile(instruction.source(chip), target=chip).save(path)
        except Exception as error:  # an instruction that some chip does not have
            yield kernel_name(instruction), {"error": f"{type(error).__name__}: {error}"[:2000]}
            continue
        yield kernel_name(instruction), {"file": path.name}
