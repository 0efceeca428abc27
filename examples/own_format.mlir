// A format nobody wrote a kernel for: 8 rows share which 2 of every 4 column blocks they keep, and
// inside a block each row keeps 1 of 2 elements. In the literature's notation: V(8)C1(2:4)->C0(1:2).
//
//   pith-opt examples/own_format.mlir --pith-to-linalg --linalg-to-vector      (the loops)
//   pith-opt examples/own_format.mlir --pith-to-llvm --emit=asm                (the machine code)
//   python examples/own_format.py                                              (pack, run, compare)

#mine = #pith.format<
  affine_map<(row, col) -> (row floordiv 8, col floordiv 8, (col floordiv 2) mod 4, row mod 8, col mod 2)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>, #pith.level<"dense">, #pith.nm<1, 2>], 0, 0, 0>

func.func @layer(%w: tensor<?x?xf32, #mine>, %x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %w, %c0 : tensor<?x?xf32, #mine>
  %n = tensor.dim %x, %c1 : tensor<?x?xf32>
  %empty = tensor.empty(%m, %n) : tensor<?x?xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %y = linalg.matmul ins(%w, %x : tensor<?x?xf32, #mine>, tensor<?x?xf32>) outs(%init : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}
