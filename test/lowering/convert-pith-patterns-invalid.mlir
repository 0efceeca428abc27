// What cannot be checked is refused.
// RUN: pith-opt %s --verify-diagnostics --convert-pith-patterns-to-linalg=check=true

func.func @no_size(%t: tensor<?x5xf32>, %p: !pith.pattern<[17, -1], [4, 1]>, %d: tensor<17x5xf32>) -> tensor<17x5xf32> {
  // expected-error@+1 {{'pith.swrite' op cannot check pattern axis 1: its size is dynamic and no operand has it}}
  %r = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0, -1>, accumulate = true}
      : (tensor<?x5xf32>, !pith.pattern<[17, -1], [4, 1]>, tensor<17x5xf32>) -> tensor<17x5xf32>
  return %r : tensor<17x5xf32>
}
