"""``pith-emulate-gpu``: GPU kernels become functions that ``runtime/emulator`` runs as threads of a block."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir
from pith.passes.analysis.traversal import ops_where
from pith.passes.core import Pass, pass_error

from .emulate.checks import ALWAYS, GUARDS
from .emulate.context import Emulation
from .emulate.ops import REPLACEMENTS
from .emulate.outline import flatten_spaces, outline_module
from .emulate.wgmma import hold_in_vectors

#: Attributes of the module: where the sites are, and bytes of static shared memory per kernel.
SITES, STATIC = "pith.emulator_sites", "pith.emulator_static_bytes"
_DIALECTS = ("gpu", "nvgpu", "nvvm")


@dataclasses.dataclass(frozen=True)
class EmulateGpuPass(Pass):
    """Rewrite ``gpu.func`` kernels into functions of one thread that call the emulator.

    Before::

        gpu.func @k(%a: memref<?xf32>) workgroup(%s: memref<64xf32, #gpu.address_space<workgroup>>) kernel {
          %t = gpu.thread_id x
          %x = memref.load %a[%t] : memref<?xf32>
          memref.store %x, %s[%t] : memref<64xf32, #gpu.address_space<workgroup>>
          gpu.barrier
          gpu.return
        }

    After::

        func.func @k(%a: memref<?xf32>) attributes {llvm.emit_c_interface} {
          %bytes = call @pith_emulator_shared(%c0, %c256) : (index, index) -> memref<?xi8>
          %s = memref.view %bytes[%c0][] : memref<?xi8> to memref<64xf32>
          %t = call @pith_emulator_index(%c0) : (index) -> index
          %n = memref.dim %a, %c0 : memref<?xf32>
          %fits = arith.cmpi ult, %t, %n : index
          scf.if (not %fits) { call @pith_emulator_outside(%site, %c0, %t, %c1, %n) }
          %x = memref.load %a[%t] : memref<?xf32>
          ...
          call @pith_emulator_write(%site, %address, %c4) : (index, index, index) -> ()
          memref.store %x, %s[%t] : memref<64xf32>
          call @pith_emulator_barrier(%site) : (index) -> ()
          return
        }

    Sites number the ops that can fail; ``pith.emulator_sites`` on the module says where they are. The runtime runs
    one function call per thread, as fibers that switch at barriers and warp-wide ops, and reports out-of-bounds,
    misaligned, uninitialised and racing accesses, divergence and dead-locks.

    Requires: structured control flow; kernels of memref, vector, arith, math, scf, gpu, nvgpu and the nvvm ops in
    ``gpu/emulate/ops.py``. Preserves: other functions. Does not: keep host functions that launch kernels
    (:class:`pith.programs.Program` says what they do). With ``checks=false`` memory accesses are not guarded.
    Errors: a diagnostic at ops of these dialects without an emulation. Cost: linear; some ten ops per access.
    """

    name: ClassVar[str] = "pith-emulate-gpu"
    checks: bool = True

    def run(self, module: ir.Module) -> None:
        e, statics = Emulation(module, self.checks), {}
        others = {op.operation.attributes["sym_name"] for op in module.body.operations if _is_function(op)}
        for op in list(module.body.operations):
            if op.operation.name == "gpu.module":
                statics |= outline_module(e, op.operation)
            elif _is_function(op) and _launches(op.operation):
                op.operation.erase()
        kernels = [
            op.operation
            for op in module.body.operations
            if _is_function(op) and op.operation.attributes["sym_name"] not in others and len(op.regions[0].blocks)
        ]
        for kernel in kernels:
            self._emulate(e, kernel)
            flatten_spaces(kernel)
        attributes = module.operation.attributes
        attributes[SITES] = ir.ArrayAttr.get([ir.StringAttr.get(s) for s in e.sites])
        i64 = ir.IntegerType.get_signless(64)
        attributes[STATIC] = ir.DictAttr.get({k: ir.IntegerAttr.get(i64, v) for k, v in statics.items()})
        if "gpu.container_module" in attributes:
            del attributes["gpu.container_module"]

    def _emulate(self, e: Emulation, kernel: ir.Operation) -> None:
        hold_in_vectors(kernel)
        guards = {**ALWAYS, **(GUARDS if self.checks else {})}
        for op in ops_where(kernel, lambda op: op.name != "func.func"):
            with ir.InsertionPoint(op), op.location:
                if op.name in guards:
                    guards[op.name](e, op)
                if op.name in REPLACEMENTS:
                    _replace(op, REPLACEMENTS[op.name](e, op))
                elif op.name.partition(".")[0] in _DIALECTS:
                    pass_error(op, "has no emulation", "known ops are in pith.lowering.gpu.emulate.ops")


def _replace(op: ir.Operation, values: list[ir.Value]) -> None:
    for result, value in zip(op.results, values, strict=True):
        result.replace_all_uses_with(value)
    op.erase()


def _is_function(op: ir.OpView) -> bool:
    return op.operation.name == "func.func"


def _launches(function: ir.Operation) -> bool:
    return any(
        op.operation.name == "gpu.launch_func" for block in function.regions[0].blocks for op in block.operations
    )
