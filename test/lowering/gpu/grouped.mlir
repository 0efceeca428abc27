// Tokens times the weights of their experts: routing becomes segments on the device, a tile of one expert per block.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX
// RUN: pith-opt %t.nvvm.mlir --pith-gpu-module-to-binary=chip=sm_80 --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: gpu.func @moe_routing_0(
// CHECK-LABEL: gpu.func @moe_clear_2(
// CHECK-LABEL: gpu.func @moe_tally_3(
// CHECK: memref.atomic_rmw addi
// One block cuts segments into tiles.
// CHECK-LABEL: gpu.func @moe_segments_4(
// CHECK-COUNT-5: gpu.shuffle up
// CHECK: scf.for
// CHECK-LABEL: gpu.func @moe_gather_5(
// CHECK: memref.atomic_rmw addi %c-1_i32

// CHECK-LABEL: gpu.func @moe_grouped_6(
// CHECK-SAME: %[[ROWS:.*]]: memref<?xi32>, %[[FIRSTS:.*]]: memref<?xi32>, %[[TILES:.*]]: memref<?xi32>, %[[OWNERS:.*]]: memref<?xi32>, %[[X:.*]]: memref<?x64xf16>, %[[W:.*]]: memref<4x64x128xf16>, %[[GATES:.*]]: memref<?xf16>, %[[Y:.*]]: memref<?x128xf32>)
// A block without a tile returns.
// CHECK: memref.load %[[TILES]]
// CHECK: scf.if
// CHECK: memref.load %[[OWNERS]]
// CHECK: nvgpu.device_async_copy %[[X]]
// CHECK: nvgpu.device_async_copy %[[W]]
// CHECK: nvgpu.mma.sync
// Rows of a token meet; its gate is applied before they are added.
// CHECK: memref.load %[[GATES]]
// CHECK: arith.mulf
// CHECK: memref.atomic_rmw addf {{.*}}, %[[Y]]

// Tiles there are at most: a full one per so many tokens, and a partial one per expert.
// CHECK-LABEL: func.func @moe(
// CHECK: arith.addi {{.*}}, %c4 : index
// CHECK: gpu.launch_func @moe_kernels::@moe_segments_4 blocks in (%c1, %c1, %c1)

// NVVM: nvvm.cp.async.shared.global
// NVVM: nvvm.mma.sync
// PTX: cp.async.cg.shared.global
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// PTX: .global.add.f32
#x = affine_map<(s, n, e, k) -> (s, k)>
#w = affine_map<(s, n, e, k) -> (e, k, n)>
#g = affine_map<(s, n, e, k) -> (s)>
#y = affine_map<(s, n, e, k) -> (s, n)>
func.func @moe(%experts: tensor<?x2xi32>, %x: tensor<?x64xf16>, %w: tensor<4x64x128xf16>, %g: tensor<?xf16>,
               %init: tensor<?x128xf32>) -> tensor<?x128xf32> {
  %p = "pith.from_routing"(%experts) : (tensor<?x2xi32>) -> !pith.pattern<[-1, 4], [1, 1]>
  %y = "pith.pit_tile"(%p, %x, %w, %g, %init) ({
  ^bb0(%tx: tensor<64x64xf16>, %tw: tensor<1x64x128xf16>, %tg: tensor<64xf16>, %ty: tensor<64x128xf32>):
    %sum = linalg.generic {indexing_maps = [#x, #w, #y],
        iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
        ins(%tx, %tw : tensor<64x64xf16>, tensor<1x64x128xf16>) outs(%ty : tensor<64x128xf32>) {
    ^bb0(%v: f16, %u: f16, %s: f32):
      %ve = arith.extf %v : f16 to f32
      %ue = arith.extf %u : f16 to f32
      %m = arith.mulf %ve, %ue : f32
      %a = arith.addf %s, %m : f32
      linalg.yield %a : f32
    } -> tensor<64x128xf32>
    %gated = linalg.generic {indexing_maps = [affine_map<(s, n) -> (s, n)>, affine_map<(s, n) -> (s)>,
        affine_map<(s, n) -> (s, n)>], iterator_types = ["parallel", "parallel"]}
        ins(%sum, %tg : tensor<64x128xf32>, tensor<64xf16>) outs(%ty : tensor<64x128xf32>) {
    ^bb0(%v: f32, %h: f16, %o: f32):
      %he = arith.extf %h : f16 to f32
      %a = arith.mulf %v, %he : f32
      linalg.yield %a : f32
    } -> tensor<64x128xf32>
    "pith.yield"(%gated) : (tensor<64x128xf32>) -> ()
  }) {indexing_maps = [#x, #w, #g, #y], iterator_types = ["parallel", "parallel", "reduction", "reduction"],
      axes = array<i64: 0, 2>, tile = array<i64: 64, 0, 1, 0>, micro_tile = array<i64: 1, 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1, 4], [1, 1]>, tensor<?x64xf16>, tensor<4x64x128xf16>, tensor<?xf16>, tensor<?x128xf32>) -> tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}
