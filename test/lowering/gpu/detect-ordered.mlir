// Detection in storage order: a bit per cell, the bits of every block counted, places, and the list; no block waits.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: gpu.func @detect_limits_0(
// CHECK: arith.truncf {{.*}} : f64 to f32
// CHECK-LABEL: gpu.func @detect_clear_1(
// CHECK-LABEL: gpu.func @detect_detect_2(
// CHECK-SAME: %[[X:.*]]: memref<64x?xf32>, %[[LIMITS:.*]]: memref<?xi32>, %[[BITS:.*]]: memref<?xi32>)
// CHECK: vector.load %[[LIMITS]]
// CHECK: memref.atomic_rmw ori {{.*}}, %[[BITS]]
// CHECK-LABEL: gpu.func @detect_tally_3(
// CHECK: math.ctpop
// CHECK-LABEL: gpu.func @detect_places_4(
// CHECK: scf.for
// CHECK: gpu.shuffle up
// CHECK-LABEL: gpu.func @detect_emit_5(
// CHECK: math.cttz
// CHECK-LABEL: func.func @detect(
// CHECK: gpu.launch_func @detect_kernels::@detect_places_4 blocks in (%c1, %c1, %c1)
// CHECK: gpu.launch_func @detect_kernels::@detect_emit_5

// NVVM: llvm.atomicrmw _or
// PTX: .global.or.b32
// PTX: popc.b32
func.func @detect(%x: tensor<64x?xf32>, %t: tensor<?xf32>) -> !pith.pattern<[64, -1], [1, 2]> {
  %p = "pith.detect_by"(%x, %t) {axes = array<i64: 0, 1>, granularity = array<i64: 1, 2>, channel = array<i64: 1>,
      pith.deterministic = true} : (tensor<64x?xf32>, tensor<?xf32>) -> !pith.pattern<[64, -1], [1, 2]>
  return %p : !pith.pattern<[64, -1], [1, 2]>
}
