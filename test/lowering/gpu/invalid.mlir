// What has no GPU lowering, and what is said about it.
// RUN: pith-opt %s --split-input-file --verify-diagnostics --pith-assemble-arguments --convert-pith-to-gpu

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

// Tiles that are asked for.
func.func @f(%a: tensor<?x?xf16>, %b: tensor<?x?xf16>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{expects pith.gpu_tile to be [m, n, k, warps down, warps across, stages >= 2], got [64, 64, 32, 2, 2, 1]}}
  %r = linalg.matmul {pith.gpu_tile = array<i64: 64, 64, 32, 2, 2, 1>} ins(%a, %b : tensor<?x?xf16>, tensor<?x?xf16>) outs(%c : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

func.func @f(%a: tensor<?x?xf16>, %b: tensor<?x?xf16>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{expects warps of pith.gpu_tile to own multiples of 16 x 8, got 64 x 64 for 8 x 1}}
  %r = linalg.matmul {pith.gpu_tile = array<i64: 64, 64, 32, 8, 1, 2>} ins(%a, %b : tensor<?x?xf16>, tensor<?x?xf16>) outs(%c : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// Element types of encoded operands, and formats.
#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<64x64xi16, #hss>, %b: tensor<64x8xi16>, %c: tensor<64x8xi32>) -> tensor<64x8xi32> {
  // expected-error @+1 {{has no GPU lowering: a product of an encoded operand of i16 x i16 -> i32}}
  %r = linalg.matmul ins(%a, %b : tensor<64x64xi16, #hss>, tensor<64x8xi16>) outs(%c : tensor<64x8xi32>) -> tensor<64x8xi32>
  return %r : tensor<64x8xi32>
}

// -----

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<64x64xf64, #hss>, %b: tensor<64x8xf64>, %c: tensor<64x8xf64>) -> tensor<64x8xf64> {
  // expected-error @+1 {{a product of an encoded operand of f64 x f64 -> f64}}
  %r = linalg.matmul ins(%a, %b : tensor<64x64xf64, #hss>, tensor<64x8xf64>) outs(%c : tensor<64x8xf64>) -> tensor<64x8xf64>
  return %r : tensor<64x8xf64>
}

// -----

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<64x64xi8, #hss>, %b: tensor<64x8xi8>, %c: tensor<64x8xf32>) -> tensor<64x8xf32> {
  // expected-error @+1 {{expects an i32 output, got f32}}
  %r = linalg.matmul ins(%a, %b : tensor<64x64xi8, #hss>, tensor<64x8xi8>) outs(%c : tensor<64x8xf32>) -> tensor<64x8xf32>
  return %r : tensor<64x8xf32>
}

// -----

#band = #pith.format<affine_map<(i, j) -> (i, j - i)>, [#pith.level<"dense">, #pith.level<"band(1:2)">], 0, 0, 0>
func.func @f(%a: tensor<64x64xi8, #band>, %b: tensor<64x8xi8>, %c: tensor<64x8xi32>) -> tensor<64x8xi32> {
  // expected-error @+1 {{has no GPU lowering: expects floats, or signed integers, got i8, i8, i32}}
  %r = linalg.matmul {cast = #linalg.type_fn<cast_unsigned>} ins(%a, %b : tensor<64x64xi8, #band>, tensor<64x8xi8>) outs(%c : tensor<64x8xi32>) -> tensor<64x8xi32>
  return %r : tensor<64x8xi32>
}

// -----

#dia = #pith.format<affine_map<(i, j) -> (-i + j, i)>, [#pith.level<"compressed">, #pith.level<"dense">], 32, 32, 0>
func.func @f(%a: tensor<64x64xf32, #dia>, %b: tensor<64x64xf32, #dia>, %c: tensor<64x64xf32>) -> tensor<64x64xf32> {
  // expected-error @+1 {{has no GPU lowering: diagonals are multiplied by one dense matrix or vector of floats, got}}
  %r = linalg.matmul ins(%a, %b : tensor<64x64xf32, #dia>, tensor<64x64xf32, #dia>) outs(%c : tensor<64x64xf32>) -> tensor<64x64xf32>
  return %r : tensor<64x64xf32>
}
