// Bodies that finish their sums: computed on each tile of what is listed before it is stored, and nowhere else.
// RUN: pith-opt %s --convert-pith-tiles-to-panels --cse | filecheck %s

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#n = affine_map<(m, n, k) -> (n)>
#mn = affine_map<(m, n, k) -> (m, n)>
#each = affine_map<(i, j) -> (i, j)>
#column = affine_map<(i, j) -> (j)>
#corner = affine_map<(i, j) -> (0, j)>

// Sums start from zeros of the body's own, so what %y holds at listed rows does not matter; other rows are left alone:
// nothing is filled.
// CHECK-LABEL: func.func @layer
// CHECK-NOT:   memref<64xi8>
// CHECK-COUNT-1: scf.parallel
// CHECK:       vector.load %{{.*}} : memref<48xf32>
// CHECK:       arith.addf
// CHECK:       arith.maximumf
// CHECK:       vector.store
// CHECK-NOT:   scf.parallel
// CHECK-NOT:   pith.pit_tile
func.func @layer(%p: !pith.pattern<[64], [1]>, %x: tensor<64x32xf32>, %w: tensor<32x48xf32>, %b: tensor<48xf32>, %y: tensor<64x48xf32>) -> tensor<64x48xf32> {
  %zero = arith.constant 0.0 : f32
  %r = "pith.pit_tile"(%p, %x, %w, %b, %y) ({
  ^bb0(%tx: tensor<16x32xf32>, %tw: tensor<32x48xf32>, %tb: tensor<48xf32>, %ty: tensor<16x48xf32>):
    %e = tensor.empty() : tensor<16x48xf32>
    %i = linalg.fill ins(%zero : f32) outs(%e : tensor<16x48xf32>) -> tensor<16x48xf32>
    %s = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%tx, %tw : tensor<16x32xf32>, tensor<32x48xf32>) outs(%i : tensor<16x48xf32>) {
    ^bb0(%u: f32, %v: f32, %a: f32):
      %q = arith.mulf %u, %v : f32
      %t = arith.addf %a, %q : f32
      linalg.yield %t : f32
    } -> tensor<16x48xf32>
    %f = linalg.generic {indexing_maps = [#each, #column, #each], iterator_types = ["parallel", "parallel"]}
        ins(%s, %tb : tensor<16x48xf32>, tensor<48xf32>) outs(%ty : tensor<16x48xf32>) {
    ^bb0(%u: f32, %v: f32, %o: f32):
      %t = arith.addf %u, %v : f32
      %m = arith.maximumf %t, %zero : f32
      linalg.yield %m : f32
    } -> tensor<16x48xf32>
    "pith.yield"(%f) : (tensor<16x48xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #n, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>,
      tile = array<i64: 16, 0, 0>, micro_tile = array<i64: 1>, accumulate = false,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[64], [1]>, tensor<64x32xf32>, tensor<32x48xf32>, tensor<48xf32>, tensor<64x48xf32>) -> tensor<64x48xf32>
  return %r : tensor<64x48xf32>
}

#te = affine_map<(t, n, e, k) -> (t, k)>
#ekn = affine_map<(t, n, e, k) -> (e, k, n)>
#en = affine_map<(t, n, e, k) -> (e, n)>
#tn = affine_map<(t, n, e, k) -> (t, n)>

// A bias per expert, read at the loop over experts. What experts make of a token is added up.
// CHECK-LABEL: func.func @experts
// CHECK:       scf.for %[[E:.*]] = %c0{{.*}} to %c8
// CHECK:         vector.load %{{.*}}[%[[E]], %{{.*}}] : memref<8x48xf32>
// CHECK:         %[[NEW:.*]] = arith.maximumf
// CHECK:         %[[OLD:.*]] = vector.load %[[Y:.*]][%{{.*}}, %{{.*}}] : memref<64x48xf32>
// CHECK:         %[[SUM:.*]] = arith.addf %[[OLD]], %[[NEW]]
// CHECK:         vector.store %[[SUM]], %[[Y]]
// CHECK-NOT:   pith.pit_tile
func.func @experts(%p: !pith.pattern<[64, 8], [1, 1]>, %x: tensor<64x32xf32>, %w: tensor<8x32x48xf32>, %b: tensor<8x48xf32>, %y: tensor<64x48xf32>) -> tensor<64x48xf32> {
  %zero = arith.constant 0.0 : f32
  %r = "pith.pit_tile"(%p, %x, %w, %b, %y) ({
  ^bb0(%tx: tensor<16x32xf32>, %tw: tensor<1x32x48xf32>, %tb: tensor<1x48xf32>, %ty: tensor<16x48xf32>):
    %s = linalg.generic {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
        ins(%tx, %tw : tensor<16x32xf32>, tensor<1x32x48xf32>) outs(%ty : tensor<16x48xf32>) {
    ^bb0(%u: f32, %v: f32, %a: f32):
      %q = arith.mulf %u, %v : f32
      %t = arith.addf %a, %q : f32
      linalg.yield %t : f32
    } -> tensor<16x48xf32>
    %f = linalg.generic {indexing_maps = [#each, #corner, #each], iterator_types = ["parallel", "parallel"]}
        ins(%s, %tb : tensor<16x48xf32>, tensor<1x48xf32>) outs(%ty : tensor<16x48xf32>) {
    ^bb0(%u: f32, %v: f32, %o: f32):
      %t = arith.addf %u, %v : f32
      %m = arith.maximumf %t, %zero : f32
      linalg.yield %m : f32
    } -> tensor<16x48xf32>
    "pith.yield"(%f) : (tensor<16x48xf32>) -> ()
  }) {indexing_maps = [#te, #ekn, #en, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"],
      axes = array<i64: 0, 2>, tile = array<i64: 16, 0, 1, 0>, micro_tile = array<i64: 1, 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[64, 8], [1, 1]>, tensor<64x32xf32>, tensor<8x32x48xf32>, tensor<8x48xf32>, tensor<64x48xf32>) -> tensor<64x48xf32>
  return %r : tensor<64x48xf32>
}

// One expert per token, as pith.partition promises: zeros are not written before, and nothing is added to them. What
// the task packs next is fetched while it multiplies.
// CHECK-LABEL: func.func @one_expert
// CHECK-COUNT-1: scf.parallel
// CHECK-NOT:   scf.parallel
// CHECK:       memref.prefetch {{.*}}, read, locality<2>, data
// CHECK:       vector.fma
// CHECK-NOT:   arith.addf
// CHECK:       return
func.func @one_expert(%p: !pith.pattern<[64, 8], [1, 1]>, %x: tensor<64x32xf32>, %w: tensor<8x32x48xf32>) -> tensor<64x48xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<64x48xf32>
  %y = linalg.fill ins(%zero : f32) outs(%e : tensor<64x48xf32>) -> tensor<64x48xf32>
  %r = "pith.pit_tile"(%p, %x, %w, %y) ({
  ^bb0(%tx: tensor<16x32xf32>, %tw: tensor<1x32x48xf32>, %ty: tensor<16x48xf32>):
    %s = linalg.generic {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
        ins(%tx, %tw : tensor<16x32xf32>, tensor<1x32x48xf32>) outs(%ty : tensor<16x48xf32>) {
    ^bb0(%u: f32, %v: f32, %a: f32):
      %q = arith.mulf %u, %v : f32
      %t = arith.addf %a, %q : f32
      linalg.yield %t : f32
    } -> tensor<16x48xf32>
    "pith.yield"(%s) : (tensor<16x48xf32>) -> ()
  }) {pith.partition, indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"],
      axes = array<i64: 0, 2>, tile = array<i64: 16, 0, 1, 0>, micro_tile = array<i64: 1, 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[64, 8], [1, 1]>, tensor<64x32xf32>, tensor<8x32x48xf32>, tensor<64x48xf32>) -> tensor<64x48xf32>
  return %r : tensor<64x48xf32>
}

// A finish on part of a sum is another finish: contracted coordinates that come in tiles are left to the loops.
// CHECK-LABEL: func.func @parts
// CHECK:       pith.pit_tile
func.func @parts(%p: !pith.pattern<[32], [1]>, %x: tensor<64x32xf32>, %w: tensor<32x48xf32>, %y: tensor<64x48xf32>) -> tensor<64x48xf32> {
  %zero = arith.constant 0.0 : f32
  %r = "pith.pit_tile"(%p, %x, %w, %y) ({
  ^bb0(%tx: tensor<64x8xf32>, %tw: tensor<8x48xf32>, %ty: tensor<64x48xf32>):
    %s = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%tx, %tw : tensor<64x8xf32>, tensor<8x48xf32>) outs(%ty : tensor<64x48xf32>) {
    ^bb0(%u: f32, %v: f32, %a: f32):
      %q = arith.mulf %u, %v : f32
      %t = arith.addf %a, %q : f32
      linalg.yield %t : f32
    } -> tensor<64x48xf32>
    %f = linalg.generic {indexing_maps = [#each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%s : tensor<64x48xf32>) outs(%ty : tensor<64x48xf32>) {
    ^bb0(%u: f32, %o: f32):
      %m = arith.maximumf %u, %zero : f32
      linalg.yield %m : f32
    } -> tensor<64x48xf32>
    "pith.yield"(%f) : (tensor<64x48xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 2>,
      tile = array<i64: 0, 0, 8>, micro_tile = array<i64: 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[32], [1]>, tensor<64x32xf32>, tensor<32x48xf32>, tensor<64x48xf32>) -> tensor<64x48xf32>
  return %r : tensor<64x48xf32>
}
