// An ordinary product, and where zeros may occur that only run time knows: in the first operand, in micro-tiles of 32
// rows by one column. Each step shows one stage:
//
//   pith-opt examples/dynamic_product.mlir --pith-infer-pit-axes     (which axes may be permuted)
//     ... --pith-select-tiles                                       (which micro-tile, and up to what count)
//     ... --pith-form-pit-tiles                                     (detection, a count, tiles or the dense op)
//     ... --convert-pith-patterns-to-linalg                         (loops that gather and scatter)
func.func @product(%a: tensor<?x1024xf32>, %b: tensor<1024x512xf32>, %c: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 32, 1>, threshold = 0.0 : f64}]}
      ins(%a, %b : tensor<?x1024xf32>, tensor<1024x512xf32>) outs(%c : tensor<?x512xf32>) -> tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}
