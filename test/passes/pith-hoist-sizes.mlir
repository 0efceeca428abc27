// RUN: pith-opt --pith-hoist-sizes %s | filecheck %s
// RUN: pith-opt --pass-pipeline='builtin.module(pith-hoist-sizes,func.func(linalg-fuse-elementwise-ops))' %s | filecheck %s --check-prefix=FUSED

// A size that a reshape asks for is computed before what is reshaped: fusion moves the reshape above that.

// CHECK-LABEL: func.func @halves
// CHECK: %[[N:.+]] = tensor.dim
// CHECK: %[[HALF:.+]] = arith.divsi %[[N]]
// CHECK: linalg.generic
// CHECK: tensor.expand_shape
// FUSED-LABEL: func.func @halves
// FUSED: tensor.expand_shape
// FUSED: linalg.generic
func.func @halves(%x: tensor<?x8xf32>, %init: tensor<?x8xf32>) -> tensor<2x?x8xf32> {
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x8xf32>) outs(%init : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x8xf32>
  %c2 = arith.constant 2 : index
  %half = arith.divsi %n, %c2 : index
  %y = tensor.expand_shape %r [[0, 1], [2]] output_shape [2, %half, 8] : tensor<?x8xf32> into tensor<2x?x8xf32>
  return %y : tensor<2x?x8xf32>
}

// What no reshape asks for stays where it is; what depends on elements moves behind them.

// CHECK-LABEL: func.func @values
// CHECK-NEXT: %[[V:.+]] = tensor.extract
// CHECK-NEXT: arith.index_cast %[[V]]
// CHECK-NEXT: math.exp
// CHECK-NEXT: arith.addi
func.func @values(%x: tensor<?xi64>, %y: tensor<?xf32>, %i: index, %f: f32) -> (index, f32, tensor<2x?xf32>) {
  %v = tensor.extract %x[%i] : tensor<?xi64>
  %e = math.exp %f : f32
  %m = arith.addi %i, %i : index
  %n = arith.index_cast %v : i64 to index
  %z = tensor.expand_shape %y [[0, 1]] output_shape [2, %n] : tensor<?xf32> into tensor<2x?xf32>
  return %m, %e, %z : index, f32, tensor<2x?xf32>
}

// Blocks of regions have sizes of their own.

// CHECK-LABEL: func.func @regions
// CHECK: scf.if
// CHECK-NEXT: arith.divsi
// CHECK-NEXT: math.exp
// CHECK-NEXT: tensor.expand_shape
func.func @regions(%x: tensor<?xf32>, %n: index, %two: index, %c: i1) -> tensor<2x?xf32> {
  %y = scf.if %c -> tensor<2x?xf32> {
    %e = math.exp %x : tensor<?xf32>
    %half = arith.divsi %n, %two : index
    %z = tensor.expand_shape %e [[0, 1]] output_shape [2, %half] : tensor<?xf32> into tensor<2x?xf32>
    scf.yield %z : tensor<2x?xf32>
  } else {
    %e = tensor.empty(%n) : tensor<2x?xf32>
    scf.yield %e : tensor<2x?xf32>
  }
  return %y : tensor<2x?xf32>
}
