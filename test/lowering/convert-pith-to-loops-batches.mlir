// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s

// A batch of CSR matrices times a batch of matrices: the loop over matrices is outside, each matrix is a part of the
// same buffers. 9 positions belong to 8 rows; they count from the start of the batch, so what they point to is not cut.

#csr = #pith.format<affine_map<(b, i, k) -> (b, i, k)>,
                    [#pith.level<"dense">, #pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#a = affine_map<(b, i, j, k) -> (b, i, k)>
#x = affine_map<(b, i, j, k) -> (b, k, j)>
#y = affine_map<(b, i, j, k) -> (b, i, j)>

// CHECK-LABEL: func.func @batch
// CHECK-SAME:    (%[[pos:[a-z0-9]+]]: tensor<?xi32>, %[[crd:[a-z0-9]+]]: tensor<?xi32>,
// CHECK-DAG:     %[[POS:.*]] = bufferization.to_buffer %[[pos]] read_only
// CHECK-DAG:     %[[CRD:.*]] = bufferization.to_buffer %[[crd]] read_only
// CHECK:         scf.for %[[b:[a-z0-9]+]] = %c0 to %c3
// CHECK:           %[[first:.*]] = arith.muli %[[b]], %c8
// CHECK:           memref.subview %[[POS]][%[[first]]] [9] [1]
// CHECK-NOT:       memref.subview %[[CRD]]
// CHECK:           scf.parallel
// CHECK:           scf.parallel
// CHECK:             memref.load %[[CRD]]
// CHECK:             vector.fma
func.func @batch(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xf32>,
                 %x: tensor<3x16x5xf32>, %y: tensor<3x8x5xf32>) -> tensor<3x8x5xf32> {
  %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<3x8x16xf32, #csr>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<3x8x16xf32, #csr>, tensor<3x16x5xf32>) outs(%y : tensor<3x8x5xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<3x8x5xf32>
  return %r : tensor<3x8x5xf32>
}

// -----

// A matrix times a vector: the vector is a matrix of one column.

#nm = #pith.format<affine_map<(i, k) -> (i, k floordiv 4, k mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, k) -> (i, k)>
#x = affine_map<(i, k) -> (k)>
#y = affine_map<(i, k) -> (i)>

// CHECK-LABEL: func.func @vector
// CHECK:         memref.expand_shape %{{.*}} {{\[\[}}0, 1]] output_shape [8, 1]
// CHECK:         memref.expand_shape %{{.*}} {{\[\[}}0, 1]] output_shape [16, 1]
// CHECK:         scf.parallel
func.func @vector(%crd: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<16xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
  %A = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<8x16xf32, #nm>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "reduction"]}
      ins(%A, %x : tensor<8x16xf32, #nm>, tensor<16xf32>) outs(%y : tensor<8xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<8xf32>
  return %r : tensor<8xf32>
}
