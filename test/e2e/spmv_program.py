"""A program with a sparse argument, for tests of files and commands."""

SPMV = """
#csr = #pith.format<affine_map<(i, j) -> (i, j)>,
    [#pith.level<"dense">, #pith.level<"compressed">], 32 : i64, 32 : i64, 0 : i64>
func.func @spmv(%a: tensor<?x?xf32, #csr> {pith.name = "a"}, %x: tensor<?xf32> {pith.name = "x"}) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : tensor<?x?xf32, #csr>
  %e = tensor.empty(%m) : tensor<?xf32>
  %i = linalg.fill ins(%z : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %y = linalg.generic {
      indexing_maps = [affine_map<(i, k) -> (i, k)>, affine_map<(i, k) -> (k)>, affine_map<(i, k) -> (i)>],
      iterator_types = ["parallel", "reduction"]}
      ins(%a, %x : tensor<?x?xf32, #csr>, tensor<?xf32>) outs(%i : tensor<?xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<?xf32>
  return %y : tensor<?xf32>
}
"""
