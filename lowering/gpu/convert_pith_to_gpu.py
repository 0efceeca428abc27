"""``convert-pith-to-gpu``: functions on tensors and patterns become GPU kernels and launches."""

import dataclasses
from typing import ClassVar

from pith._mlir import func, ir
from pith.errors import UnsupportedError
from pith.passes.core import Pass, pass_error

from ..targets import GpuTarget, parse_target
from .convert import convert_function


@dataclasses.dataclass(frozen=True)
class ConvertPithToGpuPass(Pass):
    """Lower functions of ``linalg`` and ``pith`` ops on tensors and patterns to ``gpu.func`` kernels and launches.

    Before::

        func.func @f(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>,
                     %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
          %r = "pith.pit_tile"(%p, %a, %b, %c) ({ linalg.matmul }) {axes = array<i64: 0>, ...}
          return %r : tensor<?x?xf32>
        }

    After::

        gpu.module @f_kernels [#nvvm.target<chip = "sm_90">] {
          gpu.func @f_pit_0(%list: memref<?xi32>, %a: memref<?x?xf32>, ...) kernel { ... }
        }
        func.func @f(%list: memref<?xi32>, %a: memref<?x?xf32>, %b: ..., %c: ...) -> memref<?x?xf32> {
          %r = memref.alloc(...)
          gpu.launch_func @f_kernels::@f_pit_0 blocks in (...) threads in (...) args(...)
          return %r
        }

    Of a product, the index stream (all elements, or a pattern's list), the expansion of encoded
    operands, and the dense tile body (f32 FMAs; ``mma.sync``, or ``wgmma``, on f16, bf16, tf32 and i8) are combined in
    ``gpu/product/kernel.py``; elementwise ops behind it are computed before it stores. ``pith.gpu_tile`` on a product
    (``array<i64: m, n, k, warps down, warps across, stages>``) asks for a tile; ``target=sm_90+tf32`` for tf32.
    CSR-like and sampled products split their entries evenly (``gpu/sparse``). Every other linalg op is
    an elementwise map or a reduction; reshapes are views; fills are constants that other ops start from.
    A pattern is a device-side list whose entry 0 is the count: the grid follows from sizes, blocks
    with nothing to do return, and the host never waits for a count. Detection, sets, lengths, routing
    and top-k make such lists; of an ``scf.if`` on a count both branches are launched, and the kernels
    of one return at once.

    Requires: encoded tensors made by ``pith.assemble`` (``pith-assemble-arguments``), one block per
    function. Preserves: functions without tensors or patterns; arguments, unless they are writable. Does
    not: fuse maps and reductions with each other (``linalg-fuse-elementwise-ops`` comes first).
    Errors: a diagnostic at the op for bodies, types, formats, tiles and chips without a lowering.
    Cost: linear in the ops; a kernel's size follows from its tile, not from the data.
    """

    name: ClassVar[str] = "convert-pith-to-gpu"
    target: str = "sm_90"

    def run(self, module: ir.Module) -> None:
        try:
            target = parse_target(self.target)
        except UnsupportedError as e:
            pass_error(module.operation, e.message, e.hint)
        if not isinstance(target, GpuTarget):
            pass_error(module.operation, f"expects a GPU target, got {self.target!r}", "e.g. target=sm_90")
        functions = [op for op in module.body.operations if isinstance(op, func.FuncOp) and _has_tensors(op)]
        for function in functions:
            if len(function.body.blocks) != 1:
                pass_error(function, "has no GPU lowering: expects a single block")
            convert_function(function, target)
        if functions:
            module.operation.attributes["gpu.container_module"] = ir.UnitAttr.get()


def _has_tensors(function: func.FuncOp) -> bool:
    types = (*function.type.inputs, *function.type.results)
    return not function.is_external and any(not isinstance(t, (ir.IndexType, ir.MemRefType)) for t in types)
