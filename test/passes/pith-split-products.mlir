// RUN: pith-opt --pith-split-products %s | filecheck %s

// The probabilities of attention: divided once per element, not once per element and column of the values.

#e = affine_map<(q, k, d) -> (q, k)>
#t = affine_map<(q, k, d) -> (q, 0)>
#v = affine_map<(q, k, d) -> (k, d)>
#o = affine_map<(q, k, d) -> (q, d)>

// CHECK-DAG:   #[[id:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG:   #[[row:.*]] = affine_map<(d0, d1) -> (d0, 0)>
// CHECK-DAG:   #[[qk:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-DAG:   #[[kd:.*]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// CHECK-DAG:   #[[qd:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>

// CHECK-LABEL: func.func @probabilities
// CHECK:         %[[empty:.*]] = tensor.empty(%{{.*}}) : tensor<50x?xf32>
// CHECK:         %[[p:.*]] = linalg.generic {indexing_maps = [#[[id]], #[[row]], #[[id]]], iterator_types = ["parallel", "parallel"]} ins(%arg0, %arg1
// CHECK-SAME:      outs(%[[empty]]
// CHECK-NEXT:    ^bb0(%[[e:.*]]: f32, %[[t:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:      %[[q:.*]] = arith.divf %[[e]], %[[t]] : f32
// CHECK-NEXT:      linalg.yield %[[q]] : f32
// CHECK:         linalg.generic {indexing_maps = [#[[qk]], #[[kd]], #[[qd]]], iterator_types = ["parallel", "reduction", "parallel"]} ins(%[[p]], %arg2
// CHECK-NEXT:    ^bb0(%[[a:.*]]: f32, %[[b:.*]]: f32, %[[o:.*]]: f32):
// CHECK-NEXT:      %[[m:.*]] = arith.mulf %[[a]], %[[b]] : f32
// CHECK-NEXT:      %[[s:.*]] = arith.addf %[[o]], %[[m]] : f32
// CHECK-NEXT:      linalg.yield %[[s]] : f32
func.func @probabilities(%e: tensor<50x?xf32>, %t: tensor<50x1xf32>, %v: tensor<?x32xf32>, %o: tensor<50x32xf32>) -> tensor<50x32xf32> {
  %y = linalg.generic {indexing_maps = [#e, #t, #v, #o], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%e, %t, %v : tensor<50x?xf32>, tensor<50x1xf32>, tensor<?x32xf32>) outs(%o : tensor<50x32xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32):
    %p = arith.divf %a, %b : f32
    %m = arith.mulf %p, %c : f32
    %s = arith.addf %d, %m : f32
    linalg.yield %s : f32
  } -> tensor<50x32xf32>
  return %y : tensor<50x32xf32>
}

// What depends on every loop stays inside: there is nothing to save.

// CHECK-LABEL: func.func @distances
// CHECK-COUNT-1: linalg.generic
// CHECK:           arith.subf
// CHECK-NOT:     linalg.generic
// CHECK:         return
func.func @distances(%x: tensor<50x8xf32>, %y: tensor<8x32xf32>, %w: tensor<8x32xf32>, %o: tensor<50x32xf32>) -> tensor<50x32xf32> {
  %z = linalg.generic {indexing_maps = [#e, #v, #v, #o], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%x, %y, %w : tensor<50x8xf32>, tensor<8x32xf32>, tensor<8x32xf32>) outs(%o : tensor<50x32xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32):
    %p = arith.subf %a, %b : f32
    %m = arith.mulf %p, %c : f32
    %s = arith.addf %d, %m : f32
    linalg.yield %s : f32
  } -> tensor<50x32xf32>
  return %z : tensor<50x32xf32>
}

// Narrower floats: what is computed is computed in the type of the sums, and the other factor is widened with it.

// CHECK-LABEL: func.func @scaled
// CHECK:         %[[left:.*]] = linalg.generic {{.*}} ins(%arg0 : tensor<50x8xf16>) outs(%{{.*}} : tensor<50x8xf32>)
// CHECK:           arith.extf
// CHECK-NEXT:      arith.mulf
// CHECK:         %[[right:.*]] = linalg.generic {{.*}} ins(%arg1 : tensor<8x32xf16>) outs(%{{.*}} : tensor<8x32xf32>)
// CHECK:           arith.extf
// CHECK:         linalg.generic {{.*}} ins(%[[left]], %[[right]] : tensor<50x8xf32>, tensor<8x32xf32>)
// CHECK-NEXT:    ^bb0
// CHECK-NEXT:      arith.mulf
// CHECK-NEXT:      arith.addf
func.func @scaled(%x: tensor<50x8xf16>, %y: tensor<8x32xf16>, %o: tensor<50x32xf32>) -> tensor<50x32xf32> {
  %half = arith.constant 0.5 : f32
  %z = linalg.generic {indexing_maps = [#e, #v, #o], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%x, %y : tensor<50x8xf16>, tensor<8x32xf16>) outs(%o : tensor<50x32xf32>) {
  ^bb0(%a: f16, %b: f16, %d: f32):
    %l = arith.extf %a : f16 to f32
    %p = arith.mulf %l, %half : f32
    %r = arith.extf %b : f16 to f32
    %m = arith.mulf %p, %r : f32
    %s = arith.addf %d, %m : f32
    linalg.yield %s : f32
  } -> tensor<50x32xf32>
  return %z : tensor<50x32xf32>
}

// Kernels widen what they read.

// CHECK-LABEL: func.func @widened
// CHECK-NEXT:    linalg.generic
// CHECK-NOT:     linalg.generic
// CHECK:         return
func.func @widened(%x: tensor<50x8xf16>, %y: tensor<8x32xf16>, %o: tensor<50x32xf32>) -> tensor<50x32xf32> {
  %z = linalg.generic {indexing_maps = [#e, #v, #o], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%x, %y : tensor<50x8xf16>, tensor<8x32xf16>) outs(%o : tensor<50x32xf32>) {
  ^bb0(%a: f16, %b: f16, %d: f32):
    %l = arith.extf %a : f16 to f32
    %r = arith.extf %b : f16 to f32
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %d, %m : f32
    linalg.yield %s : f32
  } -> tensor<50x32xf32>
  return %z : tensor<50x32xf32>
}

// A factor that is a constant stays where it is: there is nothing to compute.

// CHECK-LABEL: func.func @doubled
// CHECK-COUNT-1: linalg.generic
// CHECK-NOT:     linalg.generic
// CHECK:         return
#line = affine_map<(d) -> (d)>
#none = affine_map<(d) -> ()>
func.func @doubled(%x: tensor<50xf32>, %o: tensor<f32>) -> tensor<f32> {
  %two = arith.constant 2.0 : f32
  %z = linalg.generic {indexing_maps = [#line, #none], iterator_types = ["reduction"]}
      ins(%x : tensor<50xf32>) outs(%o : tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %m = arith.mulf %a, %two : f32
    %s = arith.addf %b, %m : f32
    linalg.yield %s : f32
  } -> tensor<f32>
  return %z : tensor<f32>
}
