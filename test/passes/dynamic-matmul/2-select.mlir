// Sparsity known only at run time, stage 2 of 4: selection.
//
// Axis, micro-tile and dense tile with the least predicted time. How sparse the operand will be is not known: the
// decision is which micro-tile to count, and `break_even` the share of the grid up to which packing them will pay.
// RUN: pith-opt %s --pith-select-tiles | filecheck %s

// Packed along k, in micro-tiles of 32x1; dense competes.
// CHECK: linalg.matmul
// CHECK-SAME: pith.tile_decision = {break_even = {{[0-9.e-]+}} : f64, candidates = [
// CHECK-SAME: {axis = 2 : i64, cost_ns = {{[0-9]+}} : i64, covered = 9.000000e-01 : f64, micro_tile = array<i64: 32, 1>, name = "d2:32x1", tile = array<i64: 32, 64, 32>}
// CHECK-SAME: name = "dense"}
// CHECK-SAME: choice = "d2:32x1"
func.func @matmul(%a: tensor<1024x1024xf32>, %b: tensor<1024x1024xf32>, %c: tensor<1024x1024xf32>) -> tensor<1024x1024xf32> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 32, 1>, threshold = 0.0 : f64}],
                      pith.pit_axes = [{axis = 0 : i64, kind = "parallel", operands = [[0, 0], [2, 0]]},
                                       {axis = 2 : i64, combiners = ["arith.addf"], kind = "reduction", operands = [[0, 1], [1, 0]]}]}
      ins(%a, %b : tensor<1024x1024xf32>, tensor<1024x1024xf32>) outs(%c : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
  return %0 : tensor<1024x1024xf32>
}
