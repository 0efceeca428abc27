// A tile beside its dense rival is a branch that runs once: it gets panels, too. One in a loop does not.
// RUN: pith-opt %s --pith-form-pit-tiles --linalg-generalize-named-ops --convert-pith-tiles-to-panels | filecheck %s

// CHECK-LABEL: func.func @rival
// CHECK: scf.if
// CHECK-NOT: pith.pit_tile
// CHECK: scf.parallel
// CHECK: vector.fma
// CHECK: } else {
// CHECK: linalg.generic
func.func @rival(%a: tensor<?x512xf32>, %b: tensor<512x64xf32>, %c: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 0, 1>, threshold = 0.0 : f64}]}
      ins(%a, %b : tensor<?x512xf32>, tensor<512x64xf32>) outs(%c : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @looped
// CHECK: scf.for
// CHECK: pith.pit_tile
func.func @looped(%a: tensor<?x512xf32>, %b: tensor<512x64xf32>, %c: tensor<?x64xf32>, %n: index) -> tensor<?x64xf32> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %r = scf.for %i = %zero to %n step %one iter_args(%x = %c) -> tensor<?x64xf32> {
    %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 0, 1>, threshold = 0.0 : f64}]}
        ins(%a, %b : tensor<?x512xf32>, tensor<512x64xf32>) outs(%x : tensor<?x64xf32>) -> tensor<?x64xf32>
    scf.yield %0 : tensor<?x64xf32>
  }
  return %r : tensor<?x64xf32>
}
