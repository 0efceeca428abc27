// Pipelines of upstream's passes give what upstream's own tool gives.
// RUN: pith-opt %s --pass-pipeline='builtin.module(func.func(cse),canonicalize,inline)' > %t.pith
// RUN: %torch-mlir-opt %s --pass-pipeline='builtin.module(func.func(cse),canonicalize,inline)' > %t.upstream
// RUN: diff %t.pith %t.upstream

// RUN: pith-opt %s --sparsifier=vl=16 | filecheck %s
// CHECK: llvm.func @sum
func.func @sum(%a: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<8xf32> {
  %0 = call @add(%a, %b) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

func.func private @add(%a: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<8xf32> {
  %0 = linalg.add ins(%a, %b : tensor<8xf32>, tensor<8xf32>) outs(%a : tensor<8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}
