// Patterns, choices and bounded buffers without a GPU lowering, and what is said about them.
// RUN: pith-opt %s --split-input-file --verify-diagnostics --convert-pith-to-gpu

func.func @f(%p: !pith.pattern<[-1], [1]>) -> tensor<?xi32> {
  // expected-error @+1 {{only the device knows how many coordinates there are}}
  %c = "pith.coordinates"(%p) : (!pith.pattern<[-1], [1]>) -> tensor<?xi32>
  return %c : tensor<?xi32>
}

// -----

func.func @f(%x: tensor<4x4xf8E4M3FN>) -> !pith.pattern<[4, 4], [1, 1]> {
  %k = arith.constant 3 : index
  // expected-error @+1 {{cannot test elements of type f8E4M3FN}}
  %p = "pith.topk"(%x, %k) : (tensor<4x4xf8E4M3FN>, index) -> !pith.pattern<[4, 4], [1, 1]>
  return %p : !pith.pattern<[4, 4], [1, 1]>
}

// -----

func.func @f(%flag: i1, %x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
  // expected-error @+1 {{expects a condition on sizes and numbers of listed micro-tiles}}
  %r = scf.if %flag -> (tensor<?xf32>) {
    scf.yield %x : tensor<?xf32>
  } else {
    scf.yield %y : tensor<?xf32>
  }
  return %r : tensor<?xf32>
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<256x128xf16>, %b: tensor<128x32xf16>, %c: tensor<256x32xf32>) -> tensor<256x32xf32> {
  // expected-error @+1 {{expects pith.buffer to stream past "shared", got 'grow' past 'global'}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x32xf16>, %tb: tensor<32x32xf16>, %tc: tensor<32x32xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<32x32xf16>, tensor<32x32xf16>) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%s) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 2>,
      tile = array<i64: 32, 32, 32>, micro_tile = array<i64: 1>, accumulate = false,
      pith.buffer = #pith.buffer<3072 : i64, "grow", "global">,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[128], [1]>, tensor<256x128xf16>, tensor<128x32xf16>, tensor<256x32xf32>) -> tensor<256x32xf32>
  return %r : tensor<256x32xf32>
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[256], [1]>, %a: tensor<256x128xf16>, %b: tensor<128x32xf16>, %c: tensor<256x32xf32>) -> tensor<256x32xf32> {
  // expected-error @+1 {{expects pith.buffer on a product of matrices, with a pattern along the contracted axis if any}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x32xf16>, %tb: tensor<32x32xf16>, %tc: tensor<32x32xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<32x32xf16>, tensor<32x32xf16>) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%s) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>,
      tile = array<i64: 32, 32, 32>, micro_tile = array<i64: 1>, accumulate = false,
      pith.buffer = #pith.buffer<3072 : i64, "stream", "shared">,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[256], [1]>, tensor<256x128xf16>, tensor<128x32xf16>, tensor<256x32xf32>) -> tensor<256x32xf32>
  return %r : tensor<256x32xf32>
}
