// RUN: pith-opt --pass-pipeline="builtin.module(convert-pith-tiles-to-panels)" %s | filecheck %s

// A pattern on both dimensions of a product's result: dot products of what it lists.

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// CHECK-LABEL: func.func @sampled
// CHECK: "pith.coordinates"
// CHECK: memref.alloc({{.*}}) {{.*}} : memref<?xindex>
// CHECK: scf.parallel
// CHECK: scf.parallel
// CHECK: scf.parallel
// CHECK: vector.fma {{.*}} : vector<8xf32>
// CHECK: memref.store
// CHECK-NOT: pith.pit_tile
func.func @sampled(%c: tensor<?x2xi32>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %p = "pith.from_coordinates"(%c) : (tensor<?x2xi32>) -> !pith.pattern<[-1, -1], [32, 1]>
  %r = "pith.pit_tile"(%p, %a, %b, %y) ({
  ^bb0(%ta: tensor<32x?xf32>, %tb: tensor<?x32xf32>, %ty: tensor<32x32xf32>):
    %t = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%ta, %tb : tensor<32x?xf32>, tensor<?x32xf32>) outs(%ty : tensor<32x32xf32>) {
    ^bb0(%x: f32, %z: f32, %s: f32):
      %q = arith.mulf %x, %z : f32
      %u = arith.addf %s, %q : f32
      linalg.yield %u : f32
    } -> tensor<32x32xf32>
    "pith.yield"(%t) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0, 1>, tile = array<i64: 32, 32, 0>, micro_tile = array<i64: 32, 1>,
      accumulate = false, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[-1, -1], [32, 1]>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// Micro-tiles too large for room of their own stay for loops over tiles, and so do products of other types.

// CHECK-LABEL: func.func @large
// CHECK: pith.pit_tile
func.func @large(%c: tensor<?x2xi32>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %p = "pith.from_coordinates"(%c) : (tensor<?x2xi32>) -> !pith.pattern<[-1, -1], [128, 64]>
  %r = "pith.pit_tile"(%p, %a, %b, %y) ({
  ^bb0(%ta: tensor<64x?xf32>, %tb: tensor<?x64xf32>, %ty: tensor<64x64xf32>):
    %t = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%ta, %tb : tensor<64x?xf32>, tensor<?x64xf32>) outs(%ty : tensor<64x64xf32>) {
    ^bb0(%x: f32, %z: f32, %s: f32):
      %q = arith.mulf %x, %z : f32
      %u = arith.addf %s, %q : f32
      linalg.yield %u : f32
    } -> tensor<64x64xf32>
    "pith.yield"(%t) : (tensor<64x64xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0, 1>, tile = array<i64: 64, 64, 0>, micro_tile = array<i64: 64, 64>,
      accumulate = false, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[-1, -1], [128, 64]>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}
