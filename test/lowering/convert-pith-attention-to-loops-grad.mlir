// RUN: pith-opt --convert-pith-attention-to-loops --canonicalize --cse %s | filecheck %s

// Gradients take the loop nest of attention. Across lanes are those whose gradient is made, queries here, keys there;
// the others come by in a stream.

module attributes {"pith.isa" = "avx2"} {

// The logarithms and delta of the queries are in lanes.
// CHECK-LABEL: func.func @queries(
// CHECK:         scf.parallel
// CHECK:           %[[CHANGES:.*]] = memref.alloca() {alignment = 64 : i64} : memref<64x24xf32>
// CHECK:           %[[NUMBERS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<2x24xf32>
// CHECK:           arith.maximumf
// CHECK:           memref.store %{{.*}}, %[[NUMBERS]][%c0
// CHECK:           memref.store %{{.*}}, %[[NUMBERS]][%c1

// Two products of scores, the first with the keys, the second of the gradient with the values.
// CHECK:           scf.for %{{.*}} = %c0 to %c16 step %c8 iter_args
// CHECK:           scf.for %{{.*}} = %c0 to %c24 step %c8 iter_args

// Weights are computed again; each becomes what its key contributes.
// CHECK:           arith.subf
// CHECK:           arith.shli
// CHECK:           vector.load %[[NUMBERS]][%c1
// CHECK:           arith.mulf
// CHECK:           vector.store %{{.*}}, %[[CHANGES]]
// CHECK:           scf.for %{{.*}} = %c0 to %c16 step %c4
// CHECK-NOT:     scf.parallel
// CHECK-NOT:     pith.attention
func.func @queries(%q: tensor<1x8x?x16xf32>, %dy: tensor<1x8x?x24xf32>, %k: tensor<1x8x?x16xf32>, %v: tensor<1x8x?x24xf32>,
                   %lse: tensor<1x8x?xf32>, %delta: tensor<1x8x?xf32>, %scale: f64, %seen: tensor<1x?x2xi32>)
    -> tensor<1x8x?x16xf32> {
  %dq = "pith.attention_grad"(%q, %dy, %k, %v, %lse, %delta, %scale, %q, %seen) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x8x?x16xf32>, tensor<1x8x?x24xf32>, tensor<1x8x?x16xf32>, tensor<1x8x?x24xf32>, tensor<1x8x?xf32>,
       tensor<1x8x?xf32>, f64, tensor<1x8x?x16xf32>, tensor<1x?x2xi32>) -> tensor<1x8x?x16xf32>
  return %dq : tensor<1x8x?x16xf32>
}

// Those of the stream are broadcast, and both gradients are summed.
// CHECK-LABEL: func.func @keys(
// CHECK:         scf.parallel
// CHECK:           tensor.extract %{{.*}} : tensor<1x8x?xf32>
// CHECK:           vector.broadcast %{{.*}} : f32 to vector<8xf32>
// CHECK:           arith.shli
// CHECK:           scf.for %{{.*}} = %c0 to %c16 step %c4
// CHECK:           scf.for %{{.*}} = %c0 to %c24 step %c4
// CHECK-NOT:     pith.attention
func.func @keys(%q: tensor<1x8x?x16xf32>, %dy: tensor<1x8x?x24xf32>, %k: tensor<1x8x?x16xf32>, %v: tensor<1x8x?x24xf32>,
                %lse: tensor<1x8x?xf32>, %scale: f64, %seen: tensor<1x?x2xi32>) -> (tensor<1x8x?x16xf32>, tensor<1x8x?x24xf32>) {
  %g:2 = "pith.attention_grad"(%k, %v, %q, %dy, %lse, %lse, %scale, %k, %seen, %v) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x8x?x16xf32>, tensor<1x8x?x24xf32>, tensor<1x8x?x16xf32>, tensor<1x8x?x24xf32>, tensor<1x8x?xf32>,
       tensor<1x8x?xf32>, f64, tensor<1x8x?x16xf32>, tensor<1x?x2xi32>, tensor<1x8x?x24xf32>)
    -> (tensor<1x8x?x16xf32>, tensor<1x8x?x24xf32>)
  return %g#0, %g#1 : tensor<1x8x?x16xf32>, tensor<1x8x?x24xf32>
}

}
