// pit_tile and yield print and parse back.
// RUN: pith-opt %s | pith-opt - | filecheck %s
// RUN: pith-opt %s --emit-bytecode -o %t.bc && pith-opt %t.bc | filecheck %s

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// Rows of A the pattern names (packed 32 at a time) times B; n is whole.
// CHECK-LABEL: func.func @pit_tile_rows(
func.func @pit_tile_rows(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x256xf16>, %b: tensor<256x512xf16>,
                         %c: tensor<?x512xf32>) -> tensor<?x512xf32> {
  // CHECK: "pith.pit_tile"(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) ({
  // CHECK-NEXT: ^bb0(%[[A:.*]]: tensor<32x64xf16>, %[[B:.*]]: tensor<64x512xf16>, %[[C:.*]]: tensor<32x512xf32>):
  // CHECK: "pith.yield"(%{{.*}}) : (tensor<32x512xf32>) -> ()
  // CHECK: operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf16>, %tb: tensor<64x512xf16>, %tc: tensor<32x512xf32>):
    %x = linalg.matmul ins(%ta, %tb : tensor<32x64xf16>, tensor<64x512xf16>)
                       outs(%tc : tensor<32x512xf32>) -> tensor<32x512xf32>
    "pith.yield"(%x) : (tensor<32x512xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>,
      tile = array<i64: 32, 0, 64>, micro_tile = array<i64: 1>, accumulate = false}
    : (!pith.pattern<[-1], [1]>, tensor<?x256xf16>, tensor<256x512xf16>, tensor<?x512xf32>) -> tensor<?x512xf32>
  return %r : tensor<?x512xf32>
}

// A pattern on the reduction alone carries the init and need not accumulate.
// CHECK-LABEL: func.func @pit_tile_reduction(
func.func @pit_tile_reduction(%p: !pith.pattern<[256], [4]>, %a: tensor<64x256xf32>, %c: tensor<64xf32>) -> tensor<64xf32> {
  // CHECK: accumulate = false, axes = array<i64: 1>
  %r = "pith.pit_tile"(%p, %a, %c) ({
  ^bb0(%ta: tensor<16x32xf32>, %tc: tensor<16xf32>):
    %x = linalg.reduce ins(%ta : tensor<16x32xf32>) outs(%tc : tensor<16xf32>) dimensions = [1]
      (%e: f32, %s: f32) { %t = arith.addf %e, %s : f32 linalg.yield %t : f32 }
    "pith.yield"(%x) : (tensor<16xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1>,
      indexing_maps = [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m)>],
      iterator_types = ["parallel", "reduction"], axes = array<i64: 1>,
      tile = array<i64: 16, 32>, micro_tile = array<i64: 2>, accumulate = false}
    : (!pith.pattern<[256], [4]>, tensor<64x256xf32>, tensor<64xf32>) -> tensor<64xf32>
  return %r : tensor<64xf32>
}

// Row sets that differ per K-block: rows meet, so the op accumulates.
// CHECK-LABEL: func.func @pit_tile_blocks(
func.func @pit_tile_blocks(%p: !pith.pattern<[128, 256], [1, 64]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>,
                           %c: tensor<128x512xf32>) -> tensor<128x512xf32> {
  // CHECK: accumulate = true, axes = array<i64: 0, 2>
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = linalg.matmul ins(%ta, %tb : tensor<32x64xf32>, tensor<64x32xf32>)
                       outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0, 2>,
      tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1, 64>, accumulate = true}
    : (!pith.pattern<[128, 256], [1, 64]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>)
    -> tensor<128x512xf32>
  return %r : tensor<128x512xf32>
}

// Two patterns: every row the first names, times every k the second names; nothing meets.
// CHECK-LABEL: func.func @pit_tile_two_patterns(
func.func @pit_tile_two_patterns(%p: !pith.pattern<[128], [1]>, %q: !pith.pattern<[256], [4]>, %a: tensor<128x256xf32>,
                                 %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) -> tensor<128x512xf32> {
  // CHECK: "pith.pit_tile"(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) ({
  // CHECK: axes = array<i64: 0, 2>{{.*}}operandSegmentSizes = array<i32: 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>
  %r = "pith.pit_tile"(%p, %q, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = linalg.matmul ins(%ta, %tb : tensor<32x64xf32>, tensor<64x32xf32>)
                       outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0, 2>,
      tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1, 4>, accumulate = false}
    : (!pith.pattern<[128], [1]>, !pith.pattern<[256], [4]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>)
    -> tensor<128x512xf32>
  return %r : tensor<128x512xf32>
}
