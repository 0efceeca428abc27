// Sparsity known only at run time, stage 1 of 4: analysis.
//
// The user writes an ordinary linalg op and says where zeros may occur: operand 0, in micro-tiles of 32 rows by one
// column. Which axes of the product may be permuted, so that the micro-tiles can be packed, is derived.
// RUN: pith-opt %s --pith-infer-pit-axes | filecheck %s

// Axis 2 is k: the columns of A and the rows of B must share one index list, and sums may be reordered.
// CHECK: linalg.matmul
// CHECK-SAME: pith.dynamic = [{granularity = array<i64: 32, 1>, operand = 0 : i64, threshold = 0.000000e+00 : f64}]
// CHECK-SAME: {axis = 2 : i64, combiners = ["arith.addf"], kind = "reduction", operands = {{\[\[}}0, 1], [1, 0]]}
func.func @matmul(%a: tensor<1024x1024xf32>, %b: tensor<1024x1024xf32>, %c: tensor<1024x1024xf32>) -> tensor<1024x1024xf32> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 32, 1>, threshold = 0.0 : f64}]}
      ins(%a, %b : tensor<1024x1024xf32>, tensor<1024x1024xf32>) outs(%c : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
  return %0 : tensor<1024x1024xf32>
}
