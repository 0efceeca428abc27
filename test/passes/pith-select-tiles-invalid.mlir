// What an op says about its zeros is checked, with the diagnostic at the op.
// RUN: pith-opt --pith-infer-pit-axes --pith-select-tiles --split-input-file --verify-diagnostics %s

func.func @text(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error@+1 {{'linalg.matmul' op expects pith.sparsity to be a float, got "lots"}}
  %0 = linalg.matmul {pith.sparsity = "lots"} ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

func.func @percent(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error@+1 {{'linalg.matmul' op expects pith.sparsity between 0 and 1, got 90}}
  %0 = linalg.matmul {pith.sparsity = 90.0} ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

func.func @dynamic(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // expected-error@+1 {{'linalg.matmul' op expects pith.dynamic to be a list of dictionaries, got 3}}
  %0 = linalg.matmul {pith.dynamic = 3 : i64} ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}
