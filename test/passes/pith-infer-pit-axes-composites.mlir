// Several ops that share tensors share their index lists: groups of axes, and what breaks one.
// RUN: pith-opt %s --pith-infer-pit-axes=composites=true | filecheck %s
// RUN: pith-opt %s '--pith-infer-pit-axes=composites=true explain=true' -o %t.mlir 2>&1 | filecheck %s --check-prefix=WHY

#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
#column = affine_map<(i, j) -> (j)>

// A layer norm: mean, centre, variance, scale. Tokens (group 0) and features (group 1) may both be permuted; along the
// features the list also gathers gamma.
// CHECK-LABEL: func.func @layer_norm
// CHECK: pith.pit_groups = array<i64: 0, 1>
// CHECK: pith.pit_groups = array<i64: 0, 1>
// CHECK: ["parallel", "reduction"]
// CHECK-SAME: pith.pit_groups = array<i64: 0, 1>
// CHECK: pith.pit_axes = [{axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [1, 0], [3, 0]]},
// CHECK-SAME: {axis = 1 : i64, kind = "parallel", operands = {{\[\[}}0, 1], [2, 0], [3, 1]]}]
// CHECK-SAME: pith.pit_groups = array<i64: 0, 1>
func.func @layer_norm(%x: tensor<8x16xf32>, %gamma: tensor<16xf32>, %zero: tensor<8xf32>, %empty: tensor<8x16xf32>)
    -> tensor<8x16xf32> {
  %sum = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<8x16xf32>) outs(%zero : tensor<8xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %r = arith.addf %acc, %a : f32
    linalg.yield %r : f32
  } -> tensor<8xf32>
  %centred = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %sum : tensor<8x16xf32>, tensor<8xf32>) outs(%empty : tensor<8x16xf32>) {
  ^bb0(%a: f32, %s: f32, %o: f32):
    %n = arith.constant 16.0 : f32
    %mean = arith.divf %s, %n : f32
    %r = arith.subf %a, %mean : f32
    linalg.yield %r : f32
  } -> tensor<8x16xf32>
  %squares = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%centred : tensor<8x16xf32>) outs(%zero : tensor<8xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %q = arith.mulf %a, %a : f32
    %r = arith.addf %acc, %q : f32
    linalg.yield %r : f32
  } -> tensor<8xf32>
  %scaled = linalg.generic {indexing_maps = [#id, #row, #column, #id], iterator_types = ["parallel", "parallel"]}
      ins(%centred, %squares, %gamma : tensor<8x16xf32>, tensor<8xf32>, tensor<16xf32>)
      outs(%empty : tensor<8x16xf32>) {
  ^bb0(%a: f32, %s: f32, %g: f32, %o: f32):
    %root = math.rsqrt %s : f32
    %b = arith.mulf %a, %root : f32
    %r = arith.mulf %b, %g : f32
    linalg.yield %r : f32
  } -> tensor<8x16xf32>
  return %scaled : tensor<8x16xf32>
}

// A causal mask by position in front of a softmax: neither axis of the composite may be permuted, although those of
// the softmax alone may.
// CHECK-LABEL: func.func @causal_softmax
// CHECK: pith.pit_groups = array<i64: -1, -1>
// CHECK: linalg.softmax
// CHECK-SAME: pith.pit_groups = array<i64: -1, -1>
// WHY: remark: 'linalg.softmax' axis 0 is permutation-invariant alone, not with 'linalg.generic' at {{.*}}: (2) the body reads linalg.index 0
// WHY: remark: 'linalg.softmax' axis 1 is permutation-invariant alone, not with 'linalg.generic' at {{.*}}: (2) the body reads linalg.index 1
func.func @causal_softmax(%scores: tensor<8x8xf32>, %empty: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %low = arith.constant 0xFF800000 : f32
  %masked = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%scores : tensor<8x8xf32>) outs(%empty : tensor<8x8xf32>) {
  ^bb0(%x: f32, %o: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %past = arith.cmpi ule, %j, %i : index
    %r = arith.select %past, %x, %low : f32
    linalg.yield %r : f32
  } -> tensor<8x8xf32>
  %0 = linalg.softmax dimension(1) ins(%masked : tensor<8x8xf32>) outs(%empty : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// An FFN: tokens (group 0) and hidden features (group 1) stay legal through both products and what is between them;
// the hidden list gathers columns of the first weight and rows of the second.
// CHECK-LABEL: func.func @ffn
// CHECK: linalg.matmul {{.*}}pith.pit_groups = array<i64: 0, 1, 2>
// CHECK: pith.pit_groups = array<i64: 0, 1>
// CHECK: linalg.matmul {{.*}}pith.pit_groups = array<i64: 0, 3, 1>
func.func @ffn(%x: tensor<8x16xf32>, %up: tensor<16x64xf32>, %down: tensor<64x16xf32>, %h: tensor<8x64xf32>,
               %y: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = linalg.matmul ins(%x, %up : tensor<8x16xf32>, tensor<16x64xf32>) outs(%h : tensor<8x64xf32>) -> tensor<8x64xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<8x64xf32>) outs(%h : tensor<8x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %zero = arith.constant 0.0 : f32
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<8x64xf32>
  %2 = linalg.matmul ins(%1, %down : tensor<8x64xf32>, tensor<64x16xf32>) outs(%y : tensor<8x16xf32>) -> tensor<8x16xf32>
  return %2 : tensor<8x16xf32>
}
