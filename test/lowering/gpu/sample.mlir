// Shares of empty micro-tiles: a block per window of 32 x 64 elements, whose warps vote on them; larger micro-tiles are
// searched by a warp each.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: gpu.func @sample_windows_2(
// CHECK: memref.view {{.*}} to memref<64xi32, #gpu.address_space<workgroup>>
// CHECK-COUNT-2: gpu.ballot
// CHECK: gpu.barrier
// CHECK: math.ctpop {{.*}} : i64
// CHECK-COUNT-2: memref.atomic_rmw addi {{.*}} : (i64, memref<?xi64>)
// CHECK-LABEL: gpu.func @sample_search_3(
// CHECK: scf.while
// CHECK-LABEL: gpu.func @sample_shares_4(
// CHECK: arith.divf {{.*}} : f64
// CHECK-LABEL: func.func @sample(

// NVVM: nvvm.vote.sync ballot
// PTX: vote.sync.ballot.b32
func.func @sample(%x: tensor<?x?xf16>, %tiles: tensor<?x2xi32>, %threshold: f64, %windows: index) -> tensor<?xf64> {
  %s = "pith.sample"(%x, %tiles, %threshold, %windows) : (tensor<?x?xf16>, tensor<?x2xi32>, f64, index) -> tensor<?xf64>
  return %s : tensor<?xf64>
}
