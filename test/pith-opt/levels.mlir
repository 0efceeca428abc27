// A pipeline that starts at another level than the input's says how to go on.
// RUN: not pith-opt %s --linalg-to-vector 2>&1 | filecheck %s --check-prefix=HIGHER
// HIGHER: error: 'func.func' op passes on tensor<{{.*}}, which is not the result of a pith.assemble
// HIGHER: hint: the input is at the level pith, --linalg-to-vector takes linalg: run --pith-to-linalg first

// RUN: not pith-opt %s --vector-to-llvm 2>&1 | filecheck %s --check-prefix=HIGHEST
// HIGHEST: hint: the input is at the level pith, --vector-to-llvm takes vector: run --pith-to-linalg --linalg-to-vector first

// RUN: pith-opt %s --pith-to-linalg --linalg-to-vector -o %t.vector.mlir
// RUN: not pith-opt %t.vector.mlir --pith-to-llvm 2>&1 | filecheck %s --check-prefix=LOWER
// LOWER: hint: the input is at the level vector, --pith-to-llvm takes pith: --vector-to-llvm goes on from there

#csr = #pith.format<affine_map<(i, j) -> (i, j)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%a: tensor<?x?xf32, #csr>, %x: tensor<?x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %0 = linalg.matmul ins(%a, %x : tensor<?x?xf32, #csr>, tensor<?x?xf32>) outs(%y : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}
