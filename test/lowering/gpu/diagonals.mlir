// Bands and lists of diagonals: a team per row of the result adds up the diagonals that reach into the matrix there.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' -o %t.gpu.mlir
// RUN: filecheck %s < %t.gpu.mlir
// RUN: pith-opt %t.gpu.mlir --pass-pipeline='builtin.module(gpu-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX

#band = #pith.format<affine_map<(i, j) -> (i, j - i)>, [#pith.level<"dense">, #pith.level<"band(1:2)">], 0, 0, 0>
#dia = #pith.format<affine_map<(i, j) -> (j - i, i)>, [#pith.level<"compressed">, #pith.level<"dense">], 32, 32, 0>
#at = affine_map<(i, j, k) -> (k, i)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: gpu.func @products_diagonals_0(
// CHECK-SAME: %[[V:.*]]: memref<?xf16>, %[[B:.*]]: memref<96x64xf16>, %[[C:.*]]: memref<33x64xf16>
// No coordinates: bounds follow from the row.
// CHECK: arith.maxsi
// CHECK: arith.minsi
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<4xf32>)
// CHECK: memref.load %[[V]]
// CHECK: vector.load %[[B]]
// CHECK: math.fma {{.*}} : vector<4xf32>
// CHECK: vector.store {{.*}}, %[[C]]

// Across a list: where its diagonals pass a column begins and ends by binary search.
// CHECK-LABEL: gpu.func @products_diagonals_1(
// CHECK-SAME: %{{.*}}: memref<?xi32>, %[[CRD:.*]]: memref<?xi32>, %[[V:.*]]: memref<?xf16>
// CHECK-COUNT-2: scf.while
// CHECK: scf.for
// CHECK: memref.load %[[CRD]]
// CHECK: memref.load %[[V]]
// CHECK-LABEL: func.func @products(
// CHECK-NOT: atomic

// NVVM: llvm.func @products_diagonals_0
// PTX: ld.global.v4.b16
// PTX: fma.rn.f32
func.func @products(%a: tensor<33x96xf16, #band>, %d: tensor<96x33xf16, #dia>, %b: tensor<96x64xf16>)
    -> (tensor<33x64xf16>, tensor<33x64xf16>) {
  %z = arith.constant 0.0 : f16
  %e = tensor.empty() : tensor<33x64xf16>
  %i = linalg.fill ins(%z : f16) outs(%e : tensor<33x64xf16>) -> tensor<33x64xf16>
  %r = linalg.matmul ins(%a, %b : tensor<33x96xf16, #band>, tensor<96x64xf16>) outs(%i : tensor<33x64xf16>) -> tensor<33x64xf16>
  %s = linalg.matmul indexing_maps = [#at, #x, #y] ins(%d, %b : tensor<96x33xf16, #dia>, tensor<96x64xf16>)
      outs(%i : tensor<33x64xf16>) -> tensor<33x64xf16>
  return %r, %s : tensor<33x64xf16>, tensor<33x64xf16>
}
