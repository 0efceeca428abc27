// What has no GPU lowering, and what is said about it.
// RUN: pith-opt %s --split-input-file --verify-diagnostics --pith-assemble-arguments --convert-pith-to-gpu

// Element types.
func.func @f(%a: tensor<?x?xf64>, %b: tensor<?x?xf64>, %c: tensor<?x?xf64>) -> tensor<?x?xf64> {
  // expected-error @+1 {{'linalg.matmul' op has no GPU lowering: expects both inputs f32 or both f16, got f64 and f64}}
  %r = linalg.matmul ins(%a, %b : tensor<?x?xf64>, tensor<?x?xf64>) outs(%c : tensor<?x?xf64>) -> tensor<?x?xf64>
  return %r : tensor<?x?xf64>
}

// -----

func.func @f(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf64>) -> tensor<?x?xf64> {
  // expected-error @+1 {{'linalg.matmul' op has no GPU lowering: expects an f32 output, got f64}}
  %r = linalg.matmul ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%c : tensor<?x?xf64>) -> tensor<?x?xf64>
  return %r : tensor<?x?xf64>
}

// -----

// Atomic adds exist for f32 only.
func.func @f(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf16>, %b: tensor<?x?xf16>, %c: tensor<?x?xf16>) -> tensor<?x?xf16> {
  // expected-error @+1 {{accumulates with atomic adds and expects an f32 output, got f16}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x32xf16>, %tb: tensor<32x32xf16>, %tc: tensor<32x32xf16>):
    %s = linalg.matmul ins(%ta, %tb : tensor<32x32xf16>, tensor<32x32xf16>) outs(%tc : tensor<32x32xf16>) -> tensor<32x32xf16>
    "pith.yield"(%s) : (tensor<32x32xf16>) -> ()
  }) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>, tile = array<i64: 32, 32, 32>,
      micro_tile = array<i64: 1>, accumulate = true, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1], [1]>, tensor<?x?xf16>, tensor<?x?xf16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  return %r : tensor<?x?xf16>
}

// -----

// Tiles.
func.func @f(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{expects tile sizes m and n to be multiples of 16 for f32, got 24 and 32}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<24x8xf32>, %tb: tensor<8x32xf32>, %tc: tensor<24x32xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<24x8xf32>, tensor<8x32xf32>) outs(%tc : tensor<24x32xf32>) -> tensor<24x32xf32>
    "pith.yield"(%s) : (tensor<24x32xf32>) -> ()
  }) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>, tile = array<i64: 24, 32, 8>,
      micro_tile = array<i64: 1>, accumulate = false, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1], [1]>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

func.func @f(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf16>, %b: tensor<?x?xf16>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{expects tile sizes (m, n, k) to be multiples of (16, 8, 16) for f16, got (32, 32, 8)}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x8xf16>, %tb: tensor<8x32xf16>, %tc: tensor<32x32xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<32x8xf16>, tensor<8x32xf16>) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%s) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>, tile = array<i64: 32, 32, 8>,
      micro_tile = array<i64: 1>, accumulate = false, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1], [1]>, tensor<?x?xf16>, tensor<?x?xf16>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

func.func @f(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{expects at most 128 accumulators per thread, its tile needs 256}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<256x8xf32>, %tb: tensor<8x256xf32>, %tc: tensor<256x256xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<256x8xf32>, tensor<8x256xf32>) outs(%tc : tensor<256x256xf32>) -> tensor<256x256xf32>
    "pith.yield"(%s) : (tensor<256x256xf32>) -> ()
  }) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>, tile = array<i64: 256, 256, 8>,
      micro_tile = array<i64: 1>, accumulate = false, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1], [1]>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

func.func @f(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{needs 262400 bytes of shared memory, sm_90 has 232448}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<64x512xf32>, %tb: tensor<512x64xf32>, %tc: tensor<64x64xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<64x512xf32>, tensor<512x64xf32>) outs(%tc : tensor<64x64xf32>) -> tensor<64x64xf32>
    "pith.yield"(%s) : (tensor<64x64xf32>) -> ()
  }) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>, tile = array<i64: 64, 64, 512>,
      micro_tile = array<i64: 1>, accumulate = false, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1], [1]>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// Patterns on two axes.
func.func @f(%p: !pith.pattern<[-1, -1], [1, 32]>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{has no GPU lowering: expects a pattern on one axis, got 2}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x8xf32>, %tb: tensor<8x32xf32>, %tc: tensor<32x32xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<32x8xf32>, tensor<8x32xf32>) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%s) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0, 1>, tile = array<i64: 32, 32, 8>,
      micro_tile = array<i64: 1, 32>, accumulate = false, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1, -1], [1, 32]>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// Bodies.
func.func @f(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{has no GPU lowering: expects one matrix product as its body}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x8xf32>, %tb: tensor<8x32xf32>, %tc: tensor<32x32xf32>):
    %z = arith.constant 0.0 : f32
    %i = linalg.fill ins(%z : f32) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    %s = linalg.matmul ins(%ta, %tb : tensor<32x8xf32>, tensor<8x32xf32>) outs(%i : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%s) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>, tile = array<i64: 32, 32, 8>,
      micro_tile = array<i64: 1>, accumulate = false, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1], [1]>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

func.func @f(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{'linalg.generic' op has no GPU lowering: expects the body out + lhs * rhs on floats}}
  %r = linalg.generic {
    indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%c : tensor<?x?xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %u = arith.mulf %x, %y : f32
    %v = arith.maximumf %z, %u : f32
    linalg.yield %v : f32
  } -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

func.func @f(%a: tensor<?x?x?xf32>, %b: tensor<?x?x?xf32>, %c: tensor<?x?x?xf32>) -> tensor<?x?x?xf32> {
  // expected-error @+1 {{'linalg.batch_matmul' op has no GPU lowering: expects rank-2 operands over (m, n, k)}}
  %r = linalg.batch_matmul ins(%a, %b : tensor<?x?x?xf32>, tensor<?x?x?xf32>) outs(%c : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  return %r : tensor<?x?x?xf32>
}

// -----

func.func @f(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{'linalg.generic' op has no GPU lowering: expects out[m, n] += lhs[m, k] * rhs[k, n] up to transposition}}
  %r = linalg.generic {
    indexing_maps = [affine_map<(m, n, k) -> (m, n)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%c : tensor<?x?xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %u = arith.mulf %x, %y : f32
    %v = arith.addf %z, %u : f32
    linalg.yield %v : f32
  } -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// Formats whose storage depends on the data.
#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%a: tensor<?x?xf32, #csr>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{'linalg.matmul' op has no GPU lowering: expects formats of dense and nm levels, got level compressed}}
  %r = linalg.matmul ins(%a, %b : tensor<?x?xf32, #csr>, tensor<?x?xf32>) outs(%c : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// Padded formats on shapes with an edge.
#pad = #pith.padded<#pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>>
func.func @f(%a: tensor<5x6xf32, #pad>, %b: tensor<6x?xf32>, %c: tensor<5x?xf32>) -> tensor<5x?xf32> {
  // expected-error @+1 {{'linalg.matmul' op has no GPU lowering: expects a shape that the padded format divides, got tensor<5x6xf32, }}
  %r = linalg.matmul ins(%a, %b : tensor<5x6xf32, #pad>, tensor<6x?xf32>) outs(%c : tensor<5x?xf32>) -> tensor<5x?xf32>
  return %r : tensor<5x?xf32>
}

// -----

// Other ops.
func.func @f(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %r = linalg.matmul ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%c : tensor<?x?xf32>) -> tensor<?x?xf32>
  // expected-error @+1 {{'math.exp' op has no GPU lowering}}
  %e = math.exp %r : tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// Sizes are those of arguments.
func.func @f(%a: tensor<?xindex>) -> tensor<?xf32> {
  %0 = arith.constant 0 : index
  %n = tensor.extract %a[%0] : tensor<?xindex>
  // expected-error @+1 {{'tensor.empty' op has no GPU lowering: a size is made by tensor.extract}}
  %e = tensor.empty(%n) : tensor<?xf32>
  return %e : tensor<?xf32>
}

// -----

func.func @f(%v: f32, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @+1 {{'linalg.fill' op has no GPU lowering: expects a constant to fill with}}
  %r = linalg.fill ins(%v : f32) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %r : tensor<8x8xf32>
}

// -----

func.func @f(%a: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @+1 {{'math.exp' op has no GPU lowering}}
  %e = math.exp %a : tensor<8x8xf32>
  return %e : tensor<8x8xf32>
}

// -----

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<?x?xf32, #hss>, %b: tensor<?x?xf32, #hss>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{expects a dense operand or a static size along the contracted dimension}}
  %r = linalg.matmul ins(%a, %b : tensor<?x?xf32, #hss>, tensor<?x?xf32, #hss>) outs(%c : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<8x8xf32, #hss>) -> tensor<8x8xf32, #hss> {
  // expected-error @+1 {{'linalg.matmul' op has no GPU lowering: expects a dense output}}
  %r = linalg.matmul ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%c : tensor<8x8xf32, #hss>) -> tensor<8x8xf32, #hss>
  return %r : tensor<8x8xf32, #hss>
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[8], [1]>, %a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @+1 {{'pith.pit_tile' op has no GPU lowering: expects one pattern, got 2}}
  %r = "pith.pit_tile"(%p, %p, %a, %b, %c) ({
  ^bb0(%ta: tensor<8x8xf32>, %tb: tensor<8x8xf32>, %tc: tensor<8x8xf32>):
    %t = linalg.matmul ins(%ta, %tb : tensor<8x8xf32>, tensor<8x8xf32>) outs(%tc : tensor<8x8xf32>) -> tensor<8x8xf32>
    "pith.yield"(%t) : (tensor<8x8xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0, 2>,
      tile = array<i64: 8, 8, 8>, micro_tile = array<i64: 1, 1>, accumulate = false,
      operandSegmentSizes = array<i32: 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[8], [1]>, !pith.pattern<[8], [1]>, tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %r : tensor<8x8xf32>
}
