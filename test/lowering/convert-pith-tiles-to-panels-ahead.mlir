// RUN: pith-opt --split-input-file --convert-pith-tiles-to-panels --cse %s | filecheck %s

// A task of experts in bf16 has room for two groups of panels. It packs what the last tiles of rows did not: every tile
// packs a part of the next group (of the same expert, or the first of the next one) while dots multiply, and asks for
// rows that follow in it and for the lines that its sums are stored to, from registers.

#te = affine_map<(t, n, e, k) -> (t, k)>
#ekn = affine_map<(t, n, e, k) -> (e, k, n)>
#tn = affine_map<(t, n, e, k) -> (t, n)>
module attributes {pith.isa = "avx512-bf16"} {
// CHECK-LABEL: func.func @experts
// CHECK:         scf.parallel
// CHECK:           %[[STATE:.*]] = memref.alloc() {{.*}} : memref<4xindex>
// CHECK:           memref.store %c-1, %[[STATE]][%c0]
// CHECK:           %[[TWICE:.*]] = arith.muli %{{.*}}, %c2
// CHECK:           %[[PANELS:.*]] = memref.alloc(%[[TWICE]]) {{.*}} : memref<?x32x32xbf16>
// CHECK:           scf.for %[[E:.*]] = %c0 to %c8
// CHECK:             %[[AHEAD:.*]] = memref.load %[[STATE]][%c0]
// CHECK:             %[[KNOWN:.*]] = arith.cmpi eq, %[[AHEAD]]
// CHECK:             %[[ROWS:.*]] = memref.load %[[STATE]][%c1]
// CHECK:             arith.select %[[KNOWN]]
// CHECK:             %[[THIS:.*]] = memref.subview %[[W:.*]][%[[E]], 0, 0] [1, 64, 512]
// CHECK:               vector.load %[[THIS]][%
// CHECK:             %[[NEXT:.*]] = memref.subview %[[W]][%{{.*}}, 0, 0] [1, 64, 512]
// CHECK:             scf.for %{{.*}} iter_args
// CHECK:               memref.prefetch %{{.*}}, write, locality<3>, data : memref<300x512xf32>
// CHECK:               scf.if
// CHECK:                 memref.prefetch %[[NEXT]][%{{.*}}, read, locality<2>, data
// CHECK-COUNT-8:         vector.store %{{.*}}, %[[PANELS]][%{{.*}} : memref<?x32x32xbf16>, vector<32xbf16>
// CHECK:                 memref.store %{{.*}}, %[[STATE]][%c2]
// CHECK:               scf.for
// CHECK:                 vector.load %[[PANELS]][%
// CHECK:                 x86.avx512.dot
// CHECK:             scf.if
// CHECK:             else
// CHECK-COUNT-16:      vector.store %{{.*}} : memref<300x512xf32>, vector<16xf32>
func.func @experts(%p: !pith.pattern<[300, 8], [1, 1]>, %x: tensor<300x64xbf16>, %w: tensor<8x64x512xbf16>) -> tensor<300x512xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<300x512xf32>
  %y = linalg.fill ins(%zero : f32) outs(%e : tensor<300x512xf32>) -> tensor<300x512xf32>
  %r = "pith.pit_tile"(%p, %x, %w, %y) ({
  ^bb0(%tx: tensor<64x64xbf16>, %tw: tensor<1x64x512xbf16>, %ty: tensor<64x512xf32>):
    %s = linalg.generic {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
        ins(%tx, %tw : tensor<64x64xbf16>, tensor<1x64x512xbf16>) outs(%ty : tensor<64x512xf32>) {
    ^bb0(%u: bf16, %v: bf16, %a: f32):
      %uw = arith.extf %u : bf16 to f32
      %vw = arith.extf %v : bf16 to f32
      %q = arith.mulf %uw, %vw : f32
      %t = arith.addf %a, %q : f32
      linalg.yield %t : f32
    } -> tensor<64x512xf32>
    "pith.yield"(%s) : (tensor<64x512xf32>) -> ()
  }) {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"],
      axes = array<i64: 0, 2>, tile = array<i64: 64, 0, 1, 0>, micro_tile = array<i64: 1, 1>, accumulate = true, pith.partition,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[300, 8], [1, 1]>, tensor<300x64xbf16>, tensor<8x64x512xbf16>, tensor<300x512xf32>) -> tensor<300x512xf32>
  return %r : tensor<300x512xf32>
}
}

// -----

// Bytes without AVX-512: all panels of a group are packed before they are multiplied, and there is room for one group.

#te = affine_map<(t, n, e, k) -> (t, k)>
#ekn = affine_map<(t, n, e, k) -> (e, k, n)>
#tn = affine_map<(t, n, e, k) -> (t, n)>
// CHECK-LABEL: func.func @before
// CHECK-NOT:     memref<4xindex>
// CHECK:         scf.parallel
// CHECK:           scf.for %{{.*}} = %c0 to %c8
// CHECK:             memref.alloc{{.*}} : memref<{{.*}}xi8>
// CHECK-NOT:         memref<4xindex>
// CHECK:             pith.dot
module attributes {pith.isa = "avx2-vnni"} {
func.func @before(%p: !pith.pattern<[300, 8], [1, 1]>, %x: tensor<300x64xi8>, %w: tensor<8x64x512xi8>) -> tensor<300x512xi32> {
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<300x512xi32>
  %y = linalg.fill ins(%zero : i32) outs(%e : tensor<300x512xi32>) -> tensor<300x512xi32>
  %r = "pith.pit_tile"(%p, %x, %w, %y) ({
  ^bb0(%tx: tensor<64x64xi8>, %tw: tensor<1x64x512xi8>, %ty: tensor<64x512xi32>):
    %s = linalg.generic {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
        ins(%tx, %tw : tensor<64x64xi8>, tensor<1x64x512xi8>) outs(%ty : tensor<64x512xi32>) {
    ^bb0(%u: i8, %v: i8, %a: i32):
      %uw = arith.extsi %u : i8 to i32
      %vw = arith.extsi %v : i8 to i32
      %q = arith.muli %uw, %vw : i32
      %t = arith.addi %a, %q : i32
      linalg.yield %t : i32
    } -> tensor<64x512xi32>
    "pith.yield"(%s) : (tensor<64x512xi32>) -> ()
  }) {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"],
      axes = array<i64: 0, 2>, tile = array<i64: 64, 0, 1, 0>, micro_tile = array<i64: 1, 1>, accumulate = true, pith.partition,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[300, 8], [1, 1]>, tensor<300x64xi8>, tensor<8x64x512xi8>, tensor<300x512xi32>) -> tensor<300x512xi32>
  return %r : tensor<300x512xi32>
}
}
