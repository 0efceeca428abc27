// RUN: pith-opt --pith-inline-calls %s | filecheck %s

// Calls become what they call, however deep, once per call; private functions go, others stay.

// CHECK-NOT:   @twice
// CHECK-NOT:   func.func private @add
// CHECK-LABEL: func.func @shared
// CHECK-LABEL: func.func @f(
// CHECK-SAME:    %[[X:.*]]: tensor<8xf32>, %[[C:.*]]: i1)
// CHECK-NEXT:    %[[A:.*]] = arith.addf %[[X]], %[[X]]
// CHECK-NEXT:    %[[B:.*]] = arith.addf %[[A]], %[[A]]
// CHECK-NEXT:    %[[R:.*]] = scf.if %[[C]]
// CHECK-NEXT:      %[[E:.*]] = tensor.empty
// CHECK-NEXT:      %[[G:.*]] = linalg.generic {{.*}} ins(%[[B]] : tensor<8xf32>) outs(%[[E]]
// CHECK-NEXT:      ^bb0(%[[IN:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:        arith.mulf %[[IN]], %[[IN]]
// CHECK:           scf.yield %[[G]]
// CHECK:         return %[[R]]
#id = affine_map<(i) -> (i)>
func.func private @add(%x: tensor<8xf32>) -> tensor<8xf32> {
  %y = arith.addf %x, %x : tensor<8xf32>
  return %y : tensor<8xf32>
}
func.func private @twice(%x: tensor<8xf32>) -> tensor<8xf32> {
  %y = func.call @add(%x) : (tensor<8xf32>) -> tensor<8xf32>
  %z = func.call @add(%y) : (tensor<8xf32>) -> tensor<8xf32>
  return %z : tensor<8xf32>
}
func.func @shared(%x: tensor<8xf32>) -> tensor<8xf32> {
  %e = tensor.empty() : tensor<8xf32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.mulf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<8xf32>
  return %y : tensor<8xf32>
}
func.func @f(%x: tensor<8xf32>, %c: i1) -> tensor<8xf32> {
  %y = func.call @twice(%x) : (tensor<8xf32>) -> tensor<8xf32>
  %r = scf.if %c -> tensor<8xf32> {
    %s = func.call @shared(%y) : (tensor<8xf32>) -> tensor<8xf32>
    scf.yield %s : tensor<8xf32>
  } else {
    scf.yield %y : tensor<8xf32>
  }
  return %r : tensor<8xf32>
}

// Functions without a body are someone else's.

// CHECK-LABEL: func.func private @elsewhere
// CHECK-LABEL: func.func @g
// CHECK: call @elsewhere
func.func private @elsewhere(f32) -> f32
func.func @g(%x: f32) -> f32 {
  %y = func.call @elsewhere(%x) : (f32) -> f32
  return %y : f32
}
