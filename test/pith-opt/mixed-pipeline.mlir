// One text names pith's passes, nested upstream passes and an upstream pipeline: a matmul becomes LLVM.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-infer-pit-axes,pith-select-tiles{target=cpu},func.func(canonicalize),sparsifier{vl=16})' | filecheck %s

// The same, stopped after pith's passes: what they found is on the op.
// RUN: pith-opt %s --pith-infer-pit-axes --pith-select-tiles=target=cpu | filecheck %s --check-prefix=PITH

// CHECK:      llvm.func @matmul
// CHECK-NOT:  linalg.matmul
// PITH:       linalg.matmul {{.*}}pith.pit_axes
func.func @matmul(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = linalg.matmul ins(%a, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}
