// What cannot be tiled by a pattern, and why.
// RUN: pith-opt %s --split-input-file --verify-diagnostics --pith-form-pit-tiles

// A convolution's rows: neighbours are read, so their order counts.
func.func @spatial(%x: tensor<1x8x10x3xf32>, %w: tensor<3x3x3x4xf32>, %o: tensor<1x6x8x4xf32>) -> tensor<1x6x8x4xf32> {
  // expected-error @below {{'linalg.conv_2d_nhwc_hwcf' op cannot follow a pattern along dimension 1 of operand #0: it lies on no permutation-invariant axis (axis 1: (1) operand #0 uses d1 in the expression d1 + d4 of its map}}
  %0 = linalg.conv_2d_nhwc_hwcf {pith.dynamic = [{operand = 0, granularity = array<i64: 0, 1, 0, 0>}]}
      ins(%x, %w : tensor<1x8x10x3xf32>, tensor<3x3x3x4xf32>) outs(%o : tensor<1x6x8x4xf32>) -> tensor<1x6x8x4xf32>
  return %0 : tensor<1x6x8x4xf32>
}

// -----

#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>

// A cumulative sum: what is added depends on the place.
func.func @cumulative(%a: tensor<8xf32>, %c: tensor<8xf32>) -> tensor<8xf32> {
  %zero = arith.constant 0.0 : f32
  // expected-error @below {{'linalg.generic' op cannot follow a pattern along dimension 0 of operand #0: it lies on no permutation-invariant axis (axis 0: (2) the body reads linalg.index 0; what depends on it could be an operand instead; axis 1: (2) the body reads linalg.index 1; what depends on it could be an operand instead)}}
  %0 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j)>, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<8xf32>) outs(%c : tensor<8xf32>) attrs = {pith.dynamic = [{operand = 0, granularity = array<i64: 1>}]} {
  ^bb0(%x: f32, %acc: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %before = arith.cmpi ule, %j, %i : index
    %v = arith.select %before, %x, %zero : f32
    %r = arith.addf %acc, %v : f32
    linalg.yield %r : f32
  } -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>

// The zeros of a maximum count.
func.func @maximum(%a: tensor<8x16xf32>, %c: tensor<8xf32>) -> tensor<8xf32> {
  // expected-error @below {{'linalg.generic' op cannot skip zeros of operand #0: arith.maximumf makes something else of them}}
  %0 = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<8x16xf32>) outs(%c : tensor<8xf32>) attrs = {pith.dynamic = [{operand = 0, granularity = array<i64: 0, 1>}]} {
  ^bb0(%x: f32, %acc: f32):
    %r = arith.maximumf %acc, %x : f32
    linalg.yield %r : f32
  } -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

// A product of elements is zero where one is, whatever the init holds.
func.func @overwritten(%a: tensor<8x16xf32>, %b: tensor<8x16xf32>, %c: tensor<8x16xf32>) -> tensor<8x16xf32> {
  // expected-error @below {{'linalg.mul' op cannot skip zeros of operand #0: the result becomes zero there, not what the init holds}}
  %0 = linalg.mul {pith.dynamic = [{operand = 0, granularity = array<i64: 1, 0>}]}
      ins(%a, %b : tensor<8x16xf32>, tensor<8x16xf32>) outs(%c : tensor<8x16xf32>) -> tensor<8x16xf32>
  return %0 : tensor<8x16xf32>
}

// -----

// Columns of A and rows of B are one axis.
func.func @shared(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @below {{'linalg.matmul' op operands #0 and #1 must share one index list along axis 2}}
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 0, 1>}, {operand = 1, granularity = array<i64: 1, 0>}]}
      ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

func.func @second(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @below {{'linalg.matmul' op expects the granularity of operand #1 to cut one dimension: only the first marked operand may be cut along several}}
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 1, 0>}, {operand = 1, granularity = array<i64: 1, 1>}]}
      ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

func.func @not_a_list(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @below {{'linalg.matmul' op expects pith.dynamic to be a list of dictionaries, got 1 : i64}}
  %0 = linalg.matmul {pith.dynamic = 1} ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

func.func @no_input(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @below {{'linalg.matmul' op expects pith.dynamic to name an input (0 to 1), got}}
  %0 = linalg.matmul {pith.dynamic = [{operand = 2, granularity = array<i64: 1, 1>}]} ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

func.func @granularity(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @below {{'linalg.matmul' op expects the granularity of operand #0 to have 2 extents >= 0, not all 0, got array<i64: 1>}}
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 1>}]} ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

// The bindings have no class for this array.
func.func @unsigned(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @below {{'linalg.matmul' op expects the granularity of operand #0 to have 2 extents >= 0, not all 0, got None}}
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<ui8: 1, 1>}]} ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

func.func @threshold(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @below {{'linalg.matmul' op expects the threshold of operand #0 to be a float >= 0, got -1.000000e+00 : f64}}
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 1, 1>, threshold = -1.0 : f64}]} ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

func.func @unstructured(%a: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error @below {{'linalg.softmax' op expects pith.dynamic on a structured linalg op on tensors with one result}}
  %0 = linalg.softmax {pith.dynamic = [{operand = 0, granularity = array<i64: 1, 0>}]} dimension(1) ins(%a : tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}
