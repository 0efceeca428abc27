// Sparsity known only at run time, stage 3 of 4: forming tiles.
//
// The decision is acted upon: detect the micro-tiles, count them, then run either the tiles they are packed into,
// whose body is the op itself on dense tiles, or the op as it was.
// RUN: pith-opt %s --pith-form-pit-tiles | filecheck %s

// 60 % of the 32 x 1024 micro-tiles.
// CHECK: %[[P:.*]] = "pith.detect"(%[[A:.*]]) {axes = array<i64: 0, 1>, granularity = array<i64: 32, 1>, threshold = 0.000000e+00 : f64}
// CHECK: %[[LIST:.*]] = "pith.coordinates"(%[[P]])
// CHECK: %[[COUNT:.*]] = tensor.dim %[[LIST]]
// CHECK: %[[LIMIT:.*]] = arith.constant 19660 : index
// CHECK: %[[FEW:.*]] = arith.cmpi ule, %[[COUNT]], %[[LIMIT]]
// CHECK: scf.if %[[FEW]]
// CHECK: "pith.pit_tile"(%[[P]], %[[A]],
// CHECK: linalg.matmul ins({{.*}} : tensor<32x32xf32>, tensor<32x64xf32>) outs({{.*}} : tensor<32x64xf32>)
// CHECK: accumulate = true, axes = array<i64: 0, 2>
// CHECK-SAME: micro_tile = array<i64: 32, 1>
// CHECK-SAME: tile = array<i64: 32, 64, 32>
// CHECK: } else {
// CHECK: linalg.matmul ins(%[[A]], {{.*}} : tensor<1024x1024xf32>, tensor<1024x1024xf32>)
func.func @matmul(%a: tensor<1024x1024xf32>, %b: tensor<1024x1024xf32>, %c: tensor<1024x1024xf32>) -> tensor<1024x1024xf32> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 32, 1>, threshold = 0.0 : f64}],
                      pith.tile_decision = {choice = "d2:32x1", break_even = 0.6 : f64, candidates = [
                        {axis = 2 : i64, cost_ns = 3000000 : i64, covered = 0.9 : f64, micro_tile = array<i64: 32, 1>, name = "d2:32x1", tile = array<i64: 32, 64, 32>},
                        {cost_ns = 12000000 : i64, covered = 0.0 : f64, name = "dense"}]}}
      ins(%a, %b : tensor<1024x1024xf32>, tensor<1024x1024xf32>) outs(%c : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
  return %0 : tensor<1024x1024xf32>
}
