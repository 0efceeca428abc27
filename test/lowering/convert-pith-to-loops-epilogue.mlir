// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s

// Elementwise ops on a product's result are computed on the vectors that are about to be stored: bias along the
// columns, ReLU, and a residual of the same shape. The product itself is never in memory.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>
#ij = affine_map<(i, j) -> (i, j)>
#j = affine_map<(i, j) -> (j)>

// CHECK-LABEL: func.func @fused
// CHECK-SAME:    %[[bias:[a-z0-9]+]]: tensor<32xf32>, %[[residual:[a-z0-9]+]]: tensor<?x32xf32>
// CHECK-NOT:     linalg.generic
// CHECK-DAG:     %[[B:.*]] = bufferization.to_buffer %[[bias]] read_only
// CHECK-DAG:     %[[R:.*]] = bufferization.to_buffer %[[residual]] read_only
// CHECK:         vector.fma
// CHECK:         vector.shuffle
// CHECK:         %[[b:.*]] = vector.load %[[B]][%{{.*}}] : memref<32xf32>, vector<8xf32>
// CHECK:         %[[r:.*]] = vector.load %[[R]][%{{.*}}, %{{.*}}] : memref<?x32xf32>, vector<8xf32>
// CHECK:         %[[sum:.*]] = arith.addf %{{.*}}, %[[b]] : vector<8xf32>
// CHECK:         %[[relu:.*]] = arith.maximumf %[[sum]], %{{.*}} : vector<8xf32>
// CHECK:         %[[out:.*]] = arith.addf %[[relu]], %[[r]] : vector<8xf32>
// CHECK:         vector.store %[[out]]
// CHECK-NOT:     linalg.
// CHECK:         return
func.func @fused(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xf32>, %x: tensor<?x16xf32>,
                 %bias: tensor<32xf32>, %residual: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %W = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<32x16xf32, #csr>
  %n = tensor.dim %x, %c0 : tensor<?x16xf32>
  %empty = tensor.empty(%n) : tensor<?x32xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x32xf32>) -> tensor<?x32xf32>
  %p = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %W : tensor<?x16xf32>, tensor<32x16xf32, #csr>) outs(%init : tensor<?x32xf32>) {
  ^bb0(%v: f32, %u: f32, %s: f32):
    %m = arith.mulf %v, %u : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<?x32xf32>
  %r = linalg.generic {indexing_maps = [#ij, #j, #ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%p, %bias, %residual : tensor<?x32xf32>, tensor<32xf32>, tensor<?x32xf32>) outs(%empty : tensor<?x32xf32>) {
  ^bb0(%v: f32, %b: f32, %a: f32, %o: f32):
    %0 = arith.addf %v, %b : f32
    %1 = arith.maximumf %0, %zero : f32
    %2 = arith.addf %1, %a : f32
    linalg.yield %2 : f32
  } -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// -----

// A product whose reader reduces is stored as it is.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>
#ij = affine_map<(i, j) -> (i, j)>
#i = affine_map<(i, j) -> (i)>

// CHECK-LABEL: func.func @reduced
// CHECK:         vector.fma
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
func.func @reduced(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xf32>, %x: tensor<8x16xf32>,
                   %init: tensor<8x32xf32>, %sums: tensor<8xf32>) -> tensor<8xf32> {
  %W = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<32x16xf32, #csr>
  %p = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %W : tensor<8x16xf32>, tensor<32x16xf32, #csr>) outs(%init : tensor<8x32xf32>) {
  ^bb0(%v: f32, %u: f32, %s: f32):
    %m = arith.mulf %v, %u : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<8x32xf32>
  %r = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%p : tensor<8x32xf32>) outs(%sums : tensor<8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %t = arith.addf %v, %o : f32
    linalg.yield %t : f32
  } -> tensor<8xf32>
  return %r : tensor<8xf32>
}

// -----

// So is one whose reader repeats it along a loop of its own.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>
#ijl = affine_map<(i, j, l) -> (i, j, l)>
#l = affine_map<(i, j, l) -> (l)>

// CHECK-LABEL: func.func @repeated
// CHECK:         vector.fma
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel"]
func.func @repeated(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xf32>, %x: tensor<8x16xf32>,
                    %init: tensor<8x32xf32>, %bias: tensor<3xf32>, %out: tensor<8x32x3xf32>) -> tensor<8x32x3xf32> {
  %W = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<32x16xf32, #csr>
  %p = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %W : tensor<8x16xf32>, tensor<32x16xf32, #csr>) outs(%init : tensor<8x32xf32>) {
  ^bb0(%v: f32, %u: f32, %s: f32):
    %m = arith.mulf %v, %u : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<8x32xf32>
  %r = linalg.generic {indexing_maps = [#y, #l, #ijl], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%p, %bias : tensor<8x32xf32>, tensor<3xf32>) outs(%out : tensor<8x32x3xf32>) {
  ^bb0(%v: f32, %b: f32, %o: f32):
    %t = arith.addf %v, %b : f32
    linalg.yield %t : f32
  } -> tensor<8x32x3xf32>
  return %r : tensor<8x32x3xf32>
}

// -----

// So is one that someone else reads.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#x = affine_map<(i, j, k) -> (k, j)>
#w = affine_map<(i, j, k) -> (i, k)>
#y = affine_map<(i, j, k) -> (i, j)>
#ij = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @shared
// CHECK:         vector.fma
// CHECK:         %[[p:.*]] = bufferization.to_tensor
// CHECK:         %[[r:.*]] = linalg.generic {{.*}} ins(%[[p]] :
// CHECK:         return %[[p]], %[[r]]
func.func @shared(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xf32>, %x: tensor<16x8xf32>,
                  %init: tensor<32x8xf32>, %out: tensor<32x8xf32>) -> (tensor<32x8xf32>, tensor<32x8xf32>) {
  %W = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<32x16xf32, #csr>
  %p = linalg.generic {indexing_maps = [#w, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%W, %x : tensor<32x16xf32, #csr>, tensor<16x8xf32>) outs(%init : tensor<32x8xf32>) {
  ^bb0(%v: f32, %u: f32, %s: f32):
    %m = arith.mulf %v, %u : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<32x8xf32>
  %r = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%p : tensor<32x8xf32>) outs(%out : tensor<32x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %t = arith.negf %v : f32
    linalg.yield %t : f32
  } -> tensor<32x8xf32>
  return %p, %r : tensor<32x8xf32>, tensor<32x8xf32>
}
