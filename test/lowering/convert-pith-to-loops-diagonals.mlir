// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s

// A band takes the generator of products: a row's sums stay in registers while its diagonals pass, those inside of
// the matrix only. No metadata is loaded.

#band = #pith.format<affine_map<(i, j) -> (i, j - i)>, [#pith.level<"dense">, #pith.level<"band(1:2)">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @band
// CHECK:         scf.parallel
// CHECK:         scf.parallel
// The row's first column is the row less 1; the first diagonal to visit is the one that begins at column 0, or diagonal -1.
// CHECK:           %[[first:.*]] = arith.subi %{{.*}}, %c1 : index
// CHECK:           %[[before:.*]] = arith.subi %c0, %[[first]] : index
// CHECK:           %[[lo:.*]] = arith.maxsi %[[before]], %c0 : index
// CHECK:           %[[left:.*]] = arith.subi %c100, %[[first]] : index
// CHECK:           arith.minsi %c4, %[[left]] : index
// CHECK:           scf.for {{.*}} iter_args
// CHECK:             vector.fma
// CHECK-NOT:     pith.
func.func @band(%val: tensor<?xf32>, %rows: index, %x: tensor<100x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %A = "pith.assemble"(%val, %rows) {operandSegmentSizes = array<i32: 0, 0, 0, 1, 1>}
      : (tensor<?xf32>, index) -> tensor<?x100xf32, #band>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<?x100xf32, #band>, tensor<100x?xf32>) outs(%y : tensor<?x?xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// Listed diagonals add to a tile of results, one diagonal after the other. Its coordinate counts from that of the
// last row's first element: 31 below the main one of a matrix of 32 rows.

#dia = #pith.format<affine_map<(i, j) -> (j - i, i)>, [#pith.level<"compressed">, #pith.level<"dense">], 32, 32, 0>
#a = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @decompress
// CHECK:         scf.for
// CHECK:           %[[crd:.*]] = arith.index_castui %{{.*}} : i32 to index
// CHECK:           %[[diagonal:.*]] = arith.addi %[[crd]], %c-31 : index
// CHECK:           arith.maxsi
// CHECK:           scf.for %[[i:.*]] =
// CHECK:             %[[j:.*]] = arith.addi %[[diagonal]], %[[i]] : index
// CHECK:             memref.store %{{.*}}, %{{.*}}[%[[i]], %[[j]]]
func.func @decompress(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xf32>) -> tensor<32x40xf32> {
  %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<32x40xf32, #dia>
  %r = "pith.decompress"(%A) : (tensor<32x40xf32, #dia>) -> tensor<32x40xf32>
  return %r : tensor<32x40xf32>
}
