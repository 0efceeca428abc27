// RUN: pith-opt --pith-to-llvm %s | filecheck %s
// RUN: pith-opt --pith-to-llvm %s | pith-opt --emit=asm | filecheck %s --check-prefix=ASM

// An argument with upstream's encoding is positions, coordinates, values and a struct of their sizes, as with sparsifier.

#csr = #sparse_tensor.encoding<{map = (d0, d1) -> (d0 : dense, d1 : compressed), posWidth = 32, crdWidth = 32}>

// CHECK-LABEL: llvm.func @spmm
// CHECK-SAME:    !llvm.struct<(array<2 x i64>, array<3 x i64>)>
// CHECK-NOT:   sparse_tensor
// ASM:         spmm:
func.func @spmm(%A: tensor<8x16xf32, #csr>, %B: tensor<16x4xf32>, %C: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %0 = linalg.matmul ins(%A, %B : tensor<8x16xf32, #csr>, tensor<16x4xf32>) outs(%C : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}
