// Dense times dense where a tensor stores: a team of lanes per position, whatever the format.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' -o %t.gpu.mlir
// RUN: filecheck %s < %t.gpu.mlir
// RUN: pith-opt %t.gpu.mlir --pass-pipeline='builtin.module(gpu-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --pith-gpu-module-to-binary=chip=sm_80 --emit=ptx | filecheck %s --check-prefix=PTX
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (j, k)>
#s = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: gpu.func @sddmm_sddmm_
// CHECK-SAME: %[[POS:.*]]: memref<?xi32>, %[[CRD:.*]]: memref<?xi32>, %[[VALUES:[a-z0-9]*]]: memref<?xf32>, %[[A:.*]]: memref<33x64xf32>, %[[B:.*]]: memref<30x64xf32>
// The column is stored; the row is searched in the positions.
// CHECK: scf.if
// CHECK: memref.load %[[CRD]]
// CHECK: scf.while
// CHECK: memref.load %[[POS]]
// 8 lanes along k, 16 bytes at a time.
// CHECK: scf.for
// CHECK: vector.load %[[A]]
// CHECK: vector.load %[[B]]
// CHECK: math.fma {{.*}} : vector<4xf32>
// CHECK-COUNT-3: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: memref.store {{.*}}, %[[VALUES]]

// NVVM: llvm.func @sddmm_sddmm_
// NVVM: nvvm.shfl.sync
// PTX: .visible .entry sddmm_sddmm_
// PTX: ld.global.v4.b32
// PTX: shfl.sync.bfly.b32
func.func @sddmm(%s: tensor<33x30xf32, #csr>, %a: tensor<33x64xf32>, %b: tensor<30x64xf32>) -> tensor<33x30xf32, #csr> {
  %r = linalg.generic {indexing_maps = [#a, #b, #s], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<33x64xf32>, tensor<30x64xf32>) outs(%s : tensor<33x30xf32, #csr>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %t = arith.addf %z, %p : f32
    linalg.yield %t : f32
  } -> tensor<33x30xf32, #csr>
  return %r : tensor<33x30xf32, #csr>
}
