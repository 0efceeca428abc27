// An overbooked panel: the tiles of rhs that 3072 elements hold stay in shared memory while a block walks over rows.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX
// RUN: pith-opt %t.nvvm.mlir --pith-gpu-module-to-binary=chip=sm_80 --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: gpu.func @f_overbooked_0(
// CHECK-SAME: %[[LIST:.*]]: memref<?xi32>, %[[A:.*]]: memref<256x128xf16>, %[[B:.*]]: memref<128x32xf16>, %[[C:.*]]: memref<256x32xf32>) kernel
// A block of a column panel takes every so-manieth tile of rows.
// CHECK: gpu.grid_dim x
// CHECK: scf.for %[[ROW:.*]] = %[[FIRST:.*]] to %c8
// CHECK: %[[IS_FIRST:.*]] = arith.cmpi eq, %[[ROW]], %[[FIRST]]
// Copies of lhs for four stages, of rhs for three tiles more.
// CHECK: memref.view {{.*}} to memref<4x32x32xf16, #gpu.address_space<workgroup>>
// CHECK: memref.view {{.*}} to memref<7x{{.*}}xf16, #gpu.address_space<workgroup>>
// In the loop over k: what stays is fetched for the first tile of rows only.
// CHECK: scf.for
// CHECK: %[[PAST:.*]] = arith.cmpi uge, {{.*}}, %c3
// CHECK: arith.ori %[[IS_FIRST]], %[[PAST]]
// CHECK: nvgpu.mma.sync

// CHECK-LABEL: func.func @f(
// CHECK: gpu.launch_func @f_kernels::@f_overbooked_0

// NVVM: nvvm.cp.async.shared.global
// PTX: cp.async.cg.shared.global
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<256x128xf16>, %b: tensor<128x32xf16>,
             %c: tensor<256x32xf32> {bufferization.writable = true}) -> tensor<256x32xf32> {
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x32xf16>, %tb: tensor<32x32xf16>, %tc: tensor<32x32xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<32x32xf16>, tensor<32x32xf16>) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%s) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 2>,
      tile = array<i64: 32, 32, 32>, micro_tile = array<i64: 1>, accumulate = false,
      pith.buffer = #pith.buffer<3072 : i64, "stream", "shared">,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[128], [1]>, tensor<256x128xf16>, tensor<128x32xf16>, tensor<256x32xf32>) -> tensor<256x32xf32>
  return %r : tensor<256x32xf32>
}
