// A choice by a count on the device: one thread evaluates it, both branches are launched, and one of them returns at once.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: gpu.func @f_choose_0(
// CHECK-SAME: %[[LIST:.*]]: memref<?xi32>, %[[FLAG:.*]]: memref<1xi32>)
// CHECK: %[[COUNT:.*]] = memref.load %[[LIST]][%c0]
// CHECK: arith.cmpi ule
// CHECK: memref.store {{.*}}, %[[FLAG]]

// CHECK-LABEL: gpu.func @f_pit_1(
// CHECK-SAME: %[[TAKEN:[a-z0-9]*]]: memref<1xi32>) kernel
// CHECK: %[[WORD:.*]] = memref.load %[[TAKEN]]
// CHECK: %[[IS:.*]] = arith.cmpi eq, %[[WORD]], %c1_i32
// CHECK: scf.if %[[IS]]
// CHECK-LABEL: gpu.func @f_matmul_2(
// CHECK-SAME: %[[TAKEN:[a-z0-9]*]]: memref<1xi32>) kernel
// CHECK: %[[WORD:.*]] = memref.load %[[TAKEN]]
// CHECK: arith.cmpi eq, %[[WORD]], %c0_i32

// Both write to the function's one result.
// CHECK-LABEL: func.func @f(
// CHECK: gpu.launch_func @f_kernels::@f_choose_0 blocks in (%c1, %c1, %c1)
// CHECK: gpu.launch_func @f_kernels::@f_pit_1 {{.*}}%[[OUT:alloc[_0-9]*]] : memref<64x32xf32>
// CHECK: gpu.launch_func @f_kernels::@f_matmul_2 {{.*}}%[[OUT]] : memref<64x32xf32>
// CHECK: return %[[OUT]]

// PTX: .entry f_choose_0
// PTX: .entry f_pit_1
// PTX: .entry f_matmul_2
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[48], [1]>, %a: tensor<64x48xf32>, %b: tensor<48x32xf32>) -> tensor<64x32xf32> {
  %c0 = arith.constant 0 : index
  %most = arith.constant 24 : index
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<64x32xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<64x32xf32>) -> tensor<64x32xf32>
  %c = "pith.coordinates"(%p) : (!pith.pattern<[48], [1]>) -> tensor<?xi32>
  %n = tensor.dim %c, %c0 : tensor<?xi32>
  %few = arith.cmpi ule, %n, %most : index
  %r = scf.if %few -> (tensor<64x32xf32>) {
    %s = "pith.pit_tile"(%p, %a, %b, %i) ({
    ^bb0(%ta: tensor<32x32xf32>, %tb: tensor<32x32xf32>, %tc: tensor<32x32xf32>):
      %t = linalg.matmul ins(%ta, %tb : tensor<32x32xf32>, tensor<32x32xf32>) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
      "pith.yield"(%t) : (tensor<32x32xf32>) -> ()
    }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 2>,
        tile = array<i64: 32, 32, 32>, micro_tile = array<i64: 1>, accumulate = false,
        operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[48], [1]>, tensor<64x48xf32>, tensor<48x32xf32>, tensor<64x32xf32>) -> tensor<64x32xf32>
    scf.yield %s : tensor<64x32xf32>
  } else {
    %d = linalg.matmul ins(%a, %b : tensor<64x48xf32>, tensor<48x32xf32>) outs(%i : tensor<64x32xf32>) -> tensor<64x32xf32>
    scf.yield %d : tensor<64x32xf32>
  }
  return %r : tensor<64x32xf32>
}
