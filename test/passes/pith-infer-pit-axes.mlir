// Which axes may be permuted, and why the others may not.
// RUN: pith-opt %s --pith-infer-pit-axes | filecheck %s
// RUN: pith-opt %s --pith-infer-pit-axes --pith-infer-pit-axes | filecheck %s
// RUN: pith-opt %s --pith-infer-pit-axes=explain=true -o %t.mlir 2>&1 | filecheck %s --check-prefix=WHY

// m, n and k; k couples the columns of A with the rows of B.
// CHECK-LABEL: func.func @matmul
// CHECK: linalg.matmul {pith.pit_axes = [
// CHECK-SAME: {axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [2, 0]]},
// CHECK-SAME: {axis = 1 : i64, kind = "parallel", operands = {{\[\[}}1, 1], [2, 1]]},
// CHECK-SAME: {axis = 2 : i64, combiners = ["arith.addf"], kind = "reduction", operands = {{\[\[}}0, 1], [1, 0]]}]}
func.func @matmul(%a: tensor<8x16xf32>, %b: tensor<16x32xf32>, %c: tensor<8x32xf32>) -> tensor<8x32xf32> {
  %0 = linalg.matmul ins(%a, %b : tensor<8x16xf32>, tensor<16x32xf32>) outs(%c : tensor<8x32xf32>) -> tensor<8x32xf32>
  return %0 : tensor<8x32xf32>
}

// The batch axis couples all three operands.
// CHECK-LABEL: func.func @batch_matmul
// CHECK: linalg.batch_matmul {pith.pit_axes = [
// CHECK-SAME: {axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [1, 0], [2, 0]]},
// CHECK-SAME: {axis = 1 : i64, kind = "parallel", operands = {{\[\[}}0, 1], [2, 1]]},
// CHECK-SAME: {axis = 2 : i64, kind = "parallel", operands = {{\[\[}}1, 2], [2, 2]]},
// CHECK-SAME: {axis = 3 : i64, combiners = ["arith.addf"], kind = "reduction", operands = {{\[\[}}0, 2], [1, 1]]}]}
func.func @batch_matmul(%a: tensor<2x8x16xf32>, %b: tensor<2x16x32xf32>, %c: tensor<2x8x32xf32>) -> tensor<2x8x32xf32> {
  %0 = linalg.batch_matmul ins(%a, %b : tensor<2x8x16xf32>, tensor<2x16x32xf32>) outs(%c : tensor<2x8x32xf32>) -> tensor<2x8x32xf32>
  return %0 : tensor<2x8x32xf32>
}

// Both axes of a sum.
// CHECK-LABEL: func.func @reduce_sum
// CHECK: linalg.reduce { arith.addf }
// CHECK-SAME: {pith.pit_axes = [{axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [1, 0]]},
// CHECK-SAME: {axis = 1 : i64, combiners = ["arith.addf"], kind = "reduction", operands = {{\[\[}}0, 1]]}]}
func.func @reduce_sum(%a: tensor<8x16xf32>, %c: tensor<8xf32>) -> tensor<8xf32> {
  %0 = linalg.reduce {arith.addf} ins(%a : tensor<8x16xf32>) outs(%c : tensor<8xf32>) dimensions = [1]
  return %0 : tensor<8xf32>
}

// Every axis of an elementwise op.
// CHECK-LABEL: func.func @elementwise
// CHECK: linalg.add {pith.pit_axes = [
// CHECK-SAME: {axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [1, 0], [2, 0]]},
// CHECK-SAME: {axis = 1 : i64, kind = "parallel", operands = {{\[\[}}0, 1], [1, 1], [2, 1]]}]}
func.func @elementwise(%a: tensor<8x16xf32>, %b: tensor<8x16xf32>, %c: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = linalg.add ins(%a, %b : tensor<8x16xf32>, tensor<8x16xf32>) outs(%c : tensor<8x16xf32>) -> tensor<8x16xf32>
  return %0 : tensor<8x16xf32>
}

// n, f and c of a convolution, none of the spatial axes.
// CHECK-LABEL: func.func @conv
// CHECK: linalg.conv_2d_nhwc_hwcf
// CHECK-SAME: pith.pit_axes = [{axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [2, 0]]},
// CHECK-SAME: {axis = 3 : i64, kind = "parallel", operands = {{\[\[}}1, 3], [2, 3]]},
// CHECK-SAME: {axis = 6 : i64, combiners = ["arith.addf"], kind = "reduction", operands = {{\[\[}}0, 3], [1, 2]]}]
// WHY: remark: 'linalg.conv_2d_nhwc_hwcf' axis 1 (parallel) is not permutation-invariant: (1) operand #0 uses d1 in the expression d1 + d4 of its map
// WHY: axis 5 (reduction) is not permutation-invariant: (1) operand #0 uses d5 in the expression d2 + d5
func.func @conv(%x: tensor<1x8x10x3xf32>, %w: tensor<3x3x3x4xf32>, %o: tensor<1x6x8x4xf32>) -> tensor<1x6x8x4xf32> {
  %0 = linalg.conv_2d_nhwc_hwcf ins(%x, %w : tensor<1x8x10x3xf32>, tensor<3x3x3x4xf32>) outs(%o : tensor<1x6x8x4xf32>) -> tensor<1x6x8x4xf32>
  return %0 : tensor<1x6x8x4xf32>
}

#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
#diagonal = affine_map<(i, j) -> (i, i)>

// A causal mask depends on the position along j, so the mask must be gathered with it first.
// CHECK-LABEL: func.func @position_dependent
// CHECK: pith.pit_axes = []
// WHY: axis 0 (parallel) is not permutation-invariant: (2) the body reads linalg.index 0
// WHY: axis 1 (parallel) is not permutation-invariant: (2) the body reads linalg.index 1
func.func @position_dependent(%a: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) {
  ^bb0(%x: f32, %y: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %keep = arith.cmpi ule, %j, %i : index
    %r = arith.select %keep, %x, %zero : f32
    linalg.yield %r : f32
  } -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// CHECK-LABEL: func.func @subtract
// CHECK: pith.pit_axes = [{axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [1, 0]]}]
// WHY: axis 1 (reduction) is not permutation-invariant: (3) the combiner arith.subf is not associative and commutative
func.func @subtract(%a: tensor<8x16xf32>, %c: tensor<8xf32>) -> tensor<8xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<8x16xf32>) outs(%c : tensor<8xf32>) {
  ^bb0(%x: f32, %acc: f32):
    %r = arith.subf %acc, %x : f32
    linalg.yield %r : f32
  } -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// acc + x * acc is no fold by one combiner.
// CHECK-LABEL: func.func @horner
// CHECK: pith.pit_axes = [{axis = 0 : i64,
// WHY: axis 1 (reduction) is not permutation-invariant: (3) the body uses the accumulator of operand #1 2 times, not once
func.func @horner(%a: tensor<8x16xf32>, %c: tensor<8xf32>) -> tensor<8xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<8x16xf32>) outs(%c : tensor<8xf32>) {
  ^bb0(%x: f32, %acc: f32):
    %p = arith.mulf %acc, %x : f32
    %r = arith.addf %acc, %p : f32
    linalg.yield %r : f32
  } -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// A sum of two products folds with one combiner, in two steps.
// CHECK-LABEL: func.func @two_steps
// CHECK: {axis = 1 : i64, combiners = ["arith.addf"], kind = "reduction"
func.func @two_steps(%a: tensor<8x16xf32>, %c: tensor<8xf32>) -> tensor<8xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<8x16xf32>) outs(%c : tensor<8xf32>) {
  ^bb0(%x: f32, %acc: f32):
    %p = arith.addf %acc, %x : f32
    %r = arith.addf %x, %p : f32
    linalg.yield %r : f32
  } -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// CHECK-LABEL: func.func @diagonal
// CHECK: pith.pit_axes = [{axis = 1 : i64, kind = "parallel", operands = {{\[\[}}1, 1]]}]
// WHY: axis 0 (parallel) is not permutation-invariant: (1) operand #0 uses d0 2 times in its map
func.func @diagonal(%a: tensor<8x8xf32>, %c: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = linalg.generic {indexing_maps = [#diagonal, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<8x8xf32>) outs(%c : tensor<8x16xf32>) {
  ^bb0(%x: f32, %acc: f32):
    linalg.yield %x : f32
  } -> tensor<8x16xf32>
  return %0 : tensor<8x16xf32>
}

// out[i] = sum of in[j] for j <= i: what is summed depends on both positions.
// CHECK-LABEL: func.func @cumulative_sum
// CHECK: pith.pit_axes = []
// WHY: axis 0 (parallel) is not permutation-invariant: (2) the body reads linalg.index 0
// WHY: axis 1 (reduction) is not permutation-invariant: (2) the body reads linalg.index 1
func.func @cumulative_sum(%a: tensor<8xf32>, %c: tensor<8xf32>) -> tensor<8xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j)>, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<8xf32>) outs(%c : tensor<8xf32>) {
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

// The last value along j wins: it is carried.
// CHECK-LABEL: func.func @last_wins
// CHECK: pith.pit_axes = [{axis = 0 : i64,
// WHY: axis 1 (reduction) is not permutation-invariant: (3) the body uses the accumulator of operand #1 0 times, not once
func.func @last_wins(%a: tensor<8x16xf32>, %c: tensor<8xf32>) -> tensor<8xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<8x16xf32>) outs(%c : tensor<8xf32>) {
  ^bb0(%x: f32, %acc: f32):
    linalg.yield %x : f32
  } -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

#mask = affine_map<(i, j) -> (j)>
#scalar_row = affine_map<(i, j) -> (i)>

// The same causal mask as an operand: side data, which must be gathered with the same lists as the tensor.
// CHECK-LABEL: func.func @mask_as_operand
// CHECK: pith.pit_axes = [{axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [1, 0], [2, 0]]},
// CHECK-SAME: {axis = 1 : i64, kind = "parallel", operands = {{\[\[}}0, 1], [1, 1], [2, 1]]}]
func.func @mask_as_operand(%a: tensor<8x8xf32>, %keep: tensor<8x8xi1>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a, %keep : tensor<8x8xf32>, tensor<8x8xi1>) outs(%c : tensor<8x8xf32>) {
  ^bb0(%x: f32, %k: i1, %y: f32):
    %r = arith.select %k, %x, %zero : f32
    linalg.yield %r : f32
  } -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// n and c of a pooling; its windows hold neighbours.
// CHECK-LABEL: func.func @pooling
// CHECK: linalg.pooling_nhwc_max
// CHECK-SAME: pith.pit_axes = [{axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [2, 0]]},
// CHECK-SAME: {axis = 3 : i64, kind = "parallel", operands = {{\[\[}}0, 3], [2, 3]]}]
// WHY: remark: 'linalg.pooling_nhwc_max' axis 1 (parallel) is not permutation-invariant: (1) operand #0 uses d1 in the expression d1 + d4
func.func @pooling(%x: tensor<1x8x10x3xf32>, %w: tensor<2x2xf32>, %o: tensor<1x7x9x3xf32>) -> tensor<1x7x9x3xf32> {
  %0 = linalg.pooling_nhwc_max ins(%x, %w : tensor<1x8x10x3xf32>, tensor<2x2xf32>) outs(%o : tensor<1x7x9x3xf32>) -> tensor<1x7x9x3xf32>
  return %0 : tensor<1x7x9x3xf32>
}

// Any contraction: two reductions, in any order of dimensions.
// CHECK-LABEL: func.func @contraction
// CHECK: linalg.contract
// CHECK-SAME: {axis = 1 : i64, combiners = ["arith.addf"], kind = "reduction", operands = {{\[\[}}0, 1], [1, 0]]},
// CHECK-SAME: {axis = 2 : i64, combiners = ["arith.addf"], kind = "reduction", operands = {{\[\[}}0, 2], [1, 1]]},
func.func @contraction(%a: tensor<8x16x4xf32>, %b: tensor<16x4x2xf32>, %c: tensor<8x2xf32>) -> tensor<8x2xf32> {
  %0 = linalg.contract indexing_maps = [affine_map<(m, k, l, n) -> (m, k, l)>, affine_map<(m, k, l, n) -> (k, l, n)>,
                                        affine_map<(m, k, l, n) -> (m, n)>]
      ins(%a, %b : tensor<8x16x4xf32>, tensor<16x4x2xf32>) outs(%c : tensor<8x2xf32>) -> tensor<8x2xf32>
  return %0 : tensor<8x2xf32>
}

// The place of the largest value is a position, and the body keeps it beside the value.
// CHECK-LABEL: func.func @argmax
// CHECK: pith.pit_axes = [{axis = 0 : i64,
// CHECK-NOT: axis = 1
// WHY: 'linalg.generic' axis 1 (reduction) is not permutation-invariant: (2) the body reads linalg.index 1; what depends on it could be an operand instead
func.func @argmax(%a: tensor<8x16xf32>, %v: tensor<8xf32>, %p: tensor<8xindex>) -> (tensor<8xf32>, tensor<8xindex>) {
  %0, %1 = linalg.generic {indexing_maps = [#id, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<8x16xf32>) outs(%v, %p : tensor<8xf32>, tensor<8xindex>) {
  ^bb0(%x: f32, %best: f32, %at: index):
    %j = linalg.index 1 : index
    %more = arith.cmpf ogt, %x, %best : f32
    %r = arith.select %more, %x, %best : f32
    %q = arith.select %more, %j, %at : index
    linalg.yield %r, %q : f32, index
  } -> (tensor<8xf32>, tensor<8xindex>)
  return %0, %1 : tensor<8xf32>, tensor<8xindex>
}

// A softmax normalises along its dimension by a maximum and a sum: both fold in any order.
// CHECK-LABEL: func.func @softmax
// CHECK: linalg.softmax
// CHECK-SAME: {axis = 0 : i64, kind = "parallel", operands = {{\[\[}}0, 0], [1, 0]]},
// CHECK-SAME: {axis = 1 : i64, combiners = ["arith.maxnumf", "arith.addf"], kind = "reduction", operands = {{\[\[}}0, 1], [1, 1]]}]
func.func @softmax(%a: tensor<8x16xf32>, %c: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = linalg.softmax dimension(1) ins(%a : tensor<8x16xf32>) outs(%c : tensor<8x16xf32>) -> tensor<8x16xf32>
  return %0 : tensor<8x16xf32>
}
