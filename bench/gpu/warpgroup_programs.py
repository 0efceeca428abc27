"""Kernels of one warpgroup and one ``wgmma``: where it finds the elements of its operands in shared memory.

Threads copy their rows of the inputs to shared memory as they come, byte after byte: neither the emulator nor the GPU
is told where an element of a matrix lies, the instruction and its descriptors decide.
"""

from __future__ import annotations

import dataclasses

from .vector_programs import Fragment

#: Threads of a warpgroup, rows of an instruction, bytes of k.
GROUP, _ROWS, _DEPTH = 128, 64, 32
_WIDTHS = {"f16": 2, "bf16": 2, "f32": 4, "i8": 1}
#: Bytes of a swizzled row -> its number in a descriptor.
_SWIZZLES = {128: 1, 64: 2, 32: 3}
_SPACE = "#gpu.address_space<workgroup>"
_PROXY = "{kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}"


@dataclasses.dataclass(frozen=True)
class Matrix:
    """An operand in shared memory.

    Attributes:
        places: rows of the lhs, columns of the rhs.
        row: bytes of a swizzled row.
        across: rows run along the places, not along k.
    """

    places: int
    row: int
    across: bool

    def nbytes(self, width: int) -> int:
        """What its layout covers: whole blocks of 8 rows."""
        return self.places * width // self.row * (_DEPTH // width) * self.row if self.across else self.places * self.row

    def descriptor(self, width: int) -> int:
        """All but the address: the next panel, the next 8 rows, the swizzle; as a signed number."""
        leading = _DEPTH // width * self.row // 16 if self.across else 1
        bits = leading << 16 | 8 * self.row // 16 << 32 | _SWIZZLES[self.row] << 62
        return bits - (1 << 64) if bits >> 63 else bits


@dataclasses.dataclass(frozen=True)
class WarpgroupInstruction:
    """One instruction, with the interface of :class:`bench.gpu.vector_programs.Instruction`.

    Attributes:
        element: of the inputs.
        lhs, rhs: where they are.
        chip: the only one that has it.
    """

    element: str
    lhs: Matrix
    rhs: Matrix
    chip: str = "sm_90a"

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return _WIDTHS[self.element]

    @property
    def name(self) -> str:
        """Unique."""
        sides = [f"{m.row}{'across' if m.across else 'along'}" for m in (self.lhs, self.rhs)]
        return ".".join([f"wgmma.m64n{self.rhs.places}k{_DEPTH // self.width}", self.element, *sides])

    @property
    def inputs(self) -> tuple[Fragment, Fragment]:
        """Shared memory of both operands, a row of it per thread."""
        a, b = (m.nbytes(self.width) // GROUP // self.width for m in (self.lhs, self.rhs))
        return Fragment("a", 1, a, self.element, GROUP), Fragment("b", 1, b, self.element, GROUP)

    @property
    def output(self) -> Fragment:
        """The sums of every thread."""
        return Fragment("d", 1, self.rhs.places // 2, "i32" if self.element == "i8" else "f32", GROUP)

    def source(self, chip: str = "sm_90a") -> str:
        """The module: a kernel, and the host function that launches it."""
        a, b = self.inputs
        typed = ", ".join(f"%{f.name}_m: {f.memref}" for f in (a, b, self.output))
        passed = ", ".join(f"%{f.name}_m : {f.memref}" for f in (a, b, self.output))
        second = self.lhs.nbytes(self.width)
        return f"""module attributes {{gpu.container_module}} {{
  gpu.module @fragments [#nvvm.target<chip = "{chip}">] {{
    gpu.func @group_kernel({typed}) kernel attributes {{known_block_size = array<i32: {GROUP}, 1, 1>}} {{
      %thread = gpu.thread_id x
      %bytes = gpu.dynamic_shared_memory : memref<?xi8, {_SPACE}>
      %first = arith.constant 0 : index
      %second = arith.constant {second} : index
{_copied(a, "first")}{_copied(b, "second")}      nvvm.fence.proxy {_PROXY}
      gpu.barrier
{self._descriptor("a", self.lhs, "first")}{self._descriptor("b", self.rhs, "second")}{self._product()}      gpu.return
    }}
  }}
  func.func @group({typed} {{bufferization.writable = true}}) -> {self.output.memref} {{
    %one = arith.constant 1 : index
    %threads = arith.constant {GROUP} : index
    %shared = arith.constant {second + self.rhs.nbytes(self.width)} : i32
    gpu.launch_func @fragments::@group_kernel blocks in (%one, %one, %one) threads in (%threads, %one, %one)
        dynamic_shared_memory_size %shared args({passed})
    return %{self.output.name}_m : {self.output.memref}
  }}
}}
"""

    def _descriptor(self, name: str, matrix: Matrix, start: str) -> str:
        return _lines(
            f"%{name}_base = memref.extract_aligned_pointer_as_index %bytes : memref<?xi8, {_SPACE}> -> index",
            f"%{name}_start = arith.addi %{name}_base, %{start} : index",
            f"%{name}_word = arith.index_cast %{name}_start : index to i64",
            f"%{name}_window = arith.constant {(1 << 18) - 1} : i64",
            f"%{name}_low = arith.andi %{name}_word, %{name}_window : i64",
            f"%{name}_four = arith.constant 4 : i64",
            f"%{name}_unit = arith.shrui %{name}_low, %{name}_four : i64",
            f"%{name}_bits = arith.constant {matrix.descriptor(self.width)} : i64",
            f"%{name}_d = arith.ori %{name}_unit, %{name}_bits : i64",
        )

    def _product(self) -> str:
        d = self.output
        type_ = f"!llvm.struct<({', '.join([d.element] * d.size)})>"
        input_ = {"f32": "tf32", "i8": "s8"}.get(self.element, self.element)
        layouts = ["col" if self.lhs.across else "row", "row" if self.rhs.across else "col"]
        factors = ", ".join(
            f"{side} [<{input_}>, #nvvm.wgmma_scale_in<one>, <{layout}>]" for side, layout in zip("AB", layouts)
        )
        shape = f"#nvvm.shape<m = {_ROWS}, n = {self.rhs.places}, k = {_DEPTH // self.width}>"
        sums = f"D [<{'s32' if d.element == 'i32' else 'f32'}>, #nvvm.wgmma_scale_out<one>]"
        lines = [
            f"%zero = llvm.mlir.zero : {type_}",
            "nvvm.wgmma.fence.aligned",
            f"%d = nvvm.wgmma.mma_async %a_d, %b_d, %zero, {shape}, {sums}, {factors} : {type_} -> {type_}",
            "nvvm.wgmma.commit.group.sync.aligned",
            "nvvm.wgmma.wait.group.sync.aligned 0",
        ]
        for i in range(d.size):
            lines += [
                f"%o_i{i} = arith.constant {i} : index",
                f"%o_x{i} = llvm.extractvalue %d[{i}] : {type_}",
                f"memref.store %o_x{i}, %d_m[%thread, %o_i{i}] : {d.memref}",
            ]
        return _lines(*lines)


def _copied(f: Fragment, start: str) -> str:
    """A thread's row goes to shared memory behind those of the threads before it."""
    shared = f"memref<{GROUP}x{f.size}x{f.element}, {_SPACE}>"
    lines = [f"%{f.name} = memref.view %bytes[%{start}][] : memref<?xi8, {_SPACE}> to {shared}"]
    for i in range(f.size):
        lines += [
            f"%{f.name}_i{i} = arith.constant {i} : index",
            f"%{f.name}_x{i} = memref.load %{f.name}_m[%thread, %{f.name}_i{i}] : {f.memref}",
            f"memref.store %{f.name}_x{i}, %{f.name}[%thread, %{f.name}_i{i}] : {shared}",
        ]
    return _lines(*lines)


def _lines(*lines: str) -> str:
    return "".join(f"      {line}\n" for line in lines)


#: Every swizzle along k, across k (with panels beside each other), and every type.
WARPGROUP_INSTRUCTIONS = (
    *(WarpgroupInstruction("f16", Matrix(64, row, False), Matrix(16, row, False)) for row in _SWIZZLES),
    WarpgroupInstruction("f16", Matrix(64, 128, True), Matrix(128, 128, True)),
    WarpgroupInstruction("f16", Matrix(64, 64, True), Matrix(64, 32, True)),
    WarpgroupInstruction("bf16", Matrix(64, 128, False), Matrix(64, 64, True)),
    WarpgroupInstruction("f32", Matrix(64, 128, False), Matrix(16, 128, False)),
    WarpgroupInstruction("i8", Matrix(64, 128, False), Matrix(32, 64, False)),
)
