// Sets of patterns: lists become bits of cells, which are combined and listed in order.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' -o %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: gpu.func @sets_mark_1(
// CHECK-SAME: %[[LIST:.*]]: memref<?xi32>, %[[BITS:.*]]: memref<?xi32>, %[[ROWS:.*]]: index, %[[COLUMNS:.*]]: index)
// A grid of any size goes over what the count says, and leaves out what lies past the grid.
// CHECK: gpu.grid_dim x
// CHECK: scf.for
// CHECK: arith.cmpi ult, {{.*}}, %[[ROWS]]
// CHECK: arith.cmpi ult, {{.*}}, %[[COLUMNS]]
// CHECK: memref.atomic_rmw ori {{.*}}, %[[BITS]]
// CHECK-LABEL: gpu.func @sets_mark_3(
// CHECK-LABEL: gpu.func @sets_tally_4(
// CHECK: arith.andi {{.*}} : i32
// CHECK-LABEL: gpu.func @sets_emit_6(
// CHECK-LABEL: func.func @sets(
// CHECK: gpu.launch_func @sets_kernels::@sets_clear_0
// CHECK: gpu.launch_func @sets_kernels::@sets_mark_1
// CHECK: gpu.launch_func @sets_kernels::@sets_clear_2
// CHECK: gpu.launch_func @sets_kernels::@sets_mark_3
// CHECK: gpu.launch_func @sets_kernels::@sets_tally_4
// CHECK: gpu.launch_func @sets_kernels::@sets_places_5
// CHECK: gpu.launch_func @sets_kernels::@sets_emit_6

// PTX: .global.or.b32
func.func @sets(%p: !pith.pattern<[-1, -1], [2, 3]>, %q: !pith.pattern<[-1, -1], [2, 3]>, %m: index, %n: index)
    -> !pith.pattern<[-1, -1], [2, 3]> {
  %r = "pith.intersection"(%p, %q, %m, %n)
    : (!pith.pattern<[-1, -1], [2, 3]>, !pith.pattern<[-1, -1], [2, 3]>, index, index) -> !pith.pattern<[-1, -1], [2, 3]>
  return %r : !pith.pattern<[-1, -1], [2, 3]>
}
