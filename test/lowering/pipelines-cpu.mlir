// A product with a two-rank hierarchical format that sparse_tensor refuses, through every named level
// of the CPU path. Each level is printed and read again by the next pith-opt.

// RUN: pith-opt --pass-pipeline='builtin.module(pith-to-linalg)' %s -o %t.linalg.mlir
// RUN: filecheck %s --check-prefix=LINALG --input-file %t.linalg.mlir
// RUN: pith-opt --pass-pipeline='builtin.module(linalg-to-vector)' %t.linalg.mlir -o %t.vector.mlir
// RUN: filecheck %s --check-prefix=VECTOR --input-file %t.vector.mlir
// RUN: pith-opt --pass-pipeline='builtin.module(vector-to-llvm)' %t.vector.mlir -o %t.llvm.mlir
// RUN: filecheck %s --check-prefix=LLVM --input-file %t.llvm.mlir

// The same in one go, and along the other paths.

// RUN: pith-opt --pass-pipeline='builtin.module(pith-to-llvm)' %s | filecheck %s --check-prefix=LLVM
// RUN: pith-opt --pass-pipeline='builtin.module(pith-to-llvm-by-loops)' %s | filecheck %s --check-prefix=LLVM
// RUN: pith-opt --pass-pipeline='builtin.module(pith-to-llvm-by-sparsifier)' %s | filecheck %s --check-prefix=LLVM

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4)>,
                    [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<3, 4>, #pith.nm<2, 4>], 0, 0, 0>

// pith -> linalg: the transposed copy of the weight folds into the map of the product, the weight
// arrives as its buffers, tanh is arithmetic. Still tensors, still any op.

// LINALG-DAG:   #[[W:.*]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// LINALG-LABEL: func.func @layer
// LINALG-SAME:    (%[[c1:[a-z0-9]+]]: tensor<?xi8> {pith.storage = "0.coordinates[2]"},
// LINALG-SAME:     %[[c0:[a-z0-9]+]]: tensor<?xi8> {pith.storage = "0.coordinates[3]"},
// LINALG-SAME:     %[[val:[a-z0-9]+]]: tensor<?xf32> {pith.storage = "0.values"},
// LINALG:         %[[w:.*]] = "pith.assemble"(%[[c1]], %[[c0]], %[[val]])
// LINALG-NOT:     linalg.transpose
// LINALG:         linalg.generic {{.*}}#[[W]]{{.*}} ins(%{{.*}}, %[[w]] :
// LINALG-NOT:     math.tanh
// LINALG:         math.fma

// linalg -> vector: memrefs, structured loops, vectors. Every buffer that is allocated is freed, the
// result excepted; nothing of pith, linalg or tensors is left.

// VECTOR-LABEL: func.func @layer
// VECTOR-SAME:    (%{{.*}}: memref<?xi8> {{.*}}) -> memref<?x32xf32>
// VECTOR-NOT:     {{linalg|tensor<|"pith[.]}}
// VECTOR:         %[[panels:.*]] = memref.alloc({{.*}}) {alignment = 64 : i64} : memref<?x64x{{[0-9]+}}xf32>
// VECTOR:         scf.parallel
// VECTOR:         vector.fma
// VECTOR:         memref.dealloc %[[panels]]

// vector -> llvm: one dialect. The runtime library allocates, OpenMP forks.

// LLVM:         llvm.func @_mlir_memref_to_llvm_alloc
// LLVM:         llvm.func @layer
// LLVM-NOT:       {{memref<|unrealized_conversion_cast}}
// LLVM:           omp.parallel
// LLVM:           llvm.intr.fma
// LLVM:         llvm.func @pith_expect_work
func.func @layer(%w: tensor<32x64xf32, #hss>, %x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %dense = "pith.decompress"(%w) : (tensor<32x64xf32, #hss>) -> tensor<32x64xf32>
  %0 = tensor.empty() : tensor<64x32xf32>
  %wt = linalg.transpose ins(%dense : tensor<32x64xf32>) outs(%0 : tensor<64x32xf32>) permutation = [1, 0]
  %1 = tensor.empty(%n) : tensor<?x32xf32>
  %2 = linalg.fill ins(%zero : f32) outs(%1 : tensor<?x32xf32>) -> tensor<?x32xf32>
  %y = linalg.matmul ins(%x, %wt : tensor<?x64xf32>, tensor<64x32xf32>) outs(%2 : tensor<?x32xf32>) -> tensor<?x32xf32>
  %t = math.tanh %y : tensor<?x32xf32>
  return %t : tensor<?x32xf32>
}
