// Sparsity known only at run time, stage 4 of 4: lowering.
//
// A pattern becomes an array of coordinates; reading a tile becomes a loop that gathers (SRead), writing one a loop
// that scatters (SWrite), with one instance of the dense body between them. Nothing depends on the pattern but data.
// RUN: pith-opt %s --convert-pith-patterns-to-linalg | filecheck %s
// RUN: pith-opt %s --pith-to-llvm | filecheck %s --check-prefix=LLVM

// CHECK: %[[FEW:.*]] = arith.cmpi ule
// CHECK: scf.if %[[FEW]]
// CHECK: scf.for
// CHECK: linalg.matmul ins({{.*}} : tensor<32x32xf32>, tensor<32x64xf32>)
// CHECK: } else {
// CHECK: linalg.matmul ins({{.*}} : tensor<1024x1024xf32>, tensor<1024x1024xf32>)
// CHECK-NOT: !pith.pattern
// LLVM: llvm.func @matmul
// LLVM-NOT: linalg.
// LLVM-NOT: pith.

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @matmul(%a: tensor<1024x1024xf32>, %b: tensor<1024x1024xf32>, %c: tensor<1024x1024xf32>) -> tensor<1024x1024xf32> {
  %p = "pith.detect"(%a) {axes = array<i64: 0, 1>, granularity = array<i64: 32, 1>, threshold = 0.0 : f64} : (tensor<1024x1024xf32>) -> !pith.pattern<[1024, 1024], [32, 1]>
  %list = "pith.coordinates"(%p) : (!pith.pattern<[1024, 1024], [32, 1]>) -> tensor<?x2xi32>
  %zero = arith.constant 0 : index
  %limit = arith.constant 19660 : index
  %count = tensor.dim %list, %zero : tensor<?x2xi32>
  %few = arith.cmpi ule, %count, %limit : index
  %r = scf.if %few -> tensor<1024x1024xf32> {
    %packed = "pith.pit_tile"(%p, %a, %b, %c) ({
    ^bb0(%ta: tensor<32x32xf32>, %tb: tensor<32x64xf32>, %tc: tensor<32x64xf32>):
      %t = linalg.matmul ins(%ta, %tb : tensor<32x32xf32>, tensor<32x64xf32>) outs(%tc : tensor<32x64xf32>) -> tensor<32x64xf32>
      "pith.yield"(%t) : (tensor<32x64xf32>) -> ()
    }) {accumulate = true, axes = array<i64: 0, 2>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
        micro_tile = array<i64: 32, 1>, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, tile = array<i64: 32, 64, 32>}
        : (!pith.pattern<[1024, 1024], [32, 1]>, tensor<1024x1024xf32>, tensor<1024x1024xf32>, tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
    scf.yield %packed : tensor<1024x1024xf32>
  } else {
    %dense = linalg.matmul ins(%a, %b : tensor<1024x1024xf32>, tensor<1024x1024xf32>) outs(%c : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
    scf.yield %dense : tensor<1024x1024xf32>
  }
  return %r : tensor<1024x1024xf32>
}
