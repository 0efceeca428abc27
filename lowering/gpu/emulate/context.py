"""Calls of the emulator's runtime from inside a kernel, and the sites that say where a call comes from."""

import dataclasses
import re
from collections.abc import Sequence

from pith._mlir import func, ir, memref, vector

from ... import builder as b
from ...builder import Index

#: Prefix of the functions of ``runtime/emulator``.
PREFIX = "pith_emulator_"

#: Those that only report. LLVM is told: what follows a guard need not survive the call, which halves the code.
_NO_RETURN = ("outside",)


@dataclasses.dataclass
class Emulation:
    """The state of one run of ``pith-emulate-gpu``.

    Attributes:
        module: the module that holds kernels as functions.
        checks: False leaves memory accesses unguarded.
        sites: where each site is; site 0 is nowhere.
    """

    module: ir.Module
    checks: bool
    sites: list[str] = dataclasses.field(default_factory=lambda: [""])
    _numbers: dict[str, int] = dataclasses.field(default_factory=dict)
    _declared: dict[str, func.FuncOp] = dataclasses.field(default_factory=dict)
    _scratch: dict[tuple[str, str, str], ir.Value] = dataclasses.field(default_factory=dict)

    def site(self, op: ir.Operation) -> int:
        """The number of the op's place in the source."""
        text = f"{place_of(op.location)}: {op.name}"
        if text not in self._numbers:
            self._numbers[text] = len(self.sites)
            self.sites.append(text)
        return self._numbers[text]

    def call(self, name: str, args: Sequence[Index], results: int = 0) -> list[ir.Value]:
        """Call a runtime function on indices; it returns ``results`` indices."""
        index = ir.IndexType.get()
        self._declare(name, ir.FunctionType.get([index] * len(args), [index] * results))
        call = func.CallOp([index] * results, PREFIX + name, [b.value(x) for x in args])
        return list(call.operation.results)

    def shared_bytes(self, offset: Index, count: Index) -> ir.Value:
        """``memref<?xi8>``: ``count`` bytes of shared memory from ``offset``; a negative count is the dynamic part."""
        index, i8 = ir.IndexType.get(), ir.IntegerType.get_signless(8)
        bytes_type = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i8)
        function = self._declare("shared", ir.FunctionType.get([index, index], [bytes_type]))
        function.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
        return func.CallOp([bytes_type], PREFIX + "shared", [b.value(offset), b.value(count)]).operation.results[0]

    def scratch(self, op: ir.Operation, role: str, type_: ir.VectorType) -> ir.Value:
        """Stack memory for a vector of ``type_``, one per kernel and ``role``: lanes hand fragments over in it."""
        function = op
        while function.name != "func.func":
            function = function.parent
        key = (ir.StringAttr(function.attributes["sym_name"]).value, role, str(type_))
        if key not in self._scratch:
            flat = ir.MemRefType.get([_count(type_)], type_.element_type)
            with ir.InsertionPoint.at_block_begin(function.regions[0].blocks[0]), function.location:
                self._scratch[key] = memref.alloca(flat, [], [], alignment=64)
        return self._scratch[key]

    def spill(self, op: ir.Operation, role: str, value: ir.Value) -> ir.Value:
        """Put a vector into memory; the address as an index."""
        held = self.scratch(op, role, value.type)
        flat = ir.VectorType.get([_count(value.type)], value.type.element_type)
        vector.store(value if value.type == flat else vector.shape_cast(flat, value), held, [b.value(0)])
        return address_of(held)

    def reload(self, op: ir.Operation, role: str, type_: ir.VectorType) -> ir.Value:
        """The vector of a role as the runtime left it."""
        flat = ir.VectorType.get([_count(type_)], type_.element_type)
        loaded = vector.load(flat, self.scratch(op, role, type_), [b.value(0)])
        return loaded if type_ == flat else vector.shape_cast(type_, loaded)

    def _declare(self, name: str, type_: ir.FunctionType) -> func.FuncOp:
        if name not in self._declared:
            with ir.InsertionPoint.at_block_begin(self.module.body), ir.Location.unknown():
                function = self._declared[name] = func.FuncOp(PREFIX + name, type_, visibility="private")
            if name in _NO_RETURN:
                function.attributes["llvm.noreturn"] = function.attributes["llvm.cold"] = ir.UnitAttr.get()
        return self._declared[name]


def address_of(buffer: ir.Value) -> ir.Value:
    """The address of a memref's memory, its offset left out."""
    return memref.ExtractAlignedPointerAsIndexOp(buffer).operation.results[0]


def place_of(location: ir.Location, level: str = "gpu") -> str:
    """``file:line`` of a location; text without a file is that of ``level``.

    Example:
        >>> from pith.dialect import make_context
        >>> with make_context():
        ...     place_of(ir.Location.file("a.mlir", 3, 7)), place_of(ir.Location.file("-", 9, 1))
        ('a.mlir:3', 'gpu level, line 9')
    """
    found = re.search(r'"([^"]*)":(\d+):\d+', str(location))
    if found is None:
        return "unknown location"
    return f"{level} level, line {found[2]}" if found[1] == "-" else f"{found[1]}:{found[2]}"


def _count(type_: ir.VectorType) -> int:
    out = 1
    for size in type_.shape:
        out *= size
    return out
